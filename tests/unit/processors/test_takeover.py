"""Taking a partition over: claim, restore, the highest watermark, and who is suspect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream.testing.memory_tables import MemoryTables
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.errors import PublishFailed
from jobstream_processors.handover import clean_note
from jobstream_processors.lane import Lane
from jobstream_processors.places import RESET, YOUNGER_MS, in_topic
from jobstream_processors.ports import Outgoing, Position
from jobstream_processors.takeover import SUSPECT_PAUSE_MS_MAX, Takeover
from jobstream_schemas import (
    Mirror,
    Row,
    decode_mirror,
    encode_mirror,
    encode_row,
    mirror_key,
    row_key,
)

if TYPE_CHECKING:
    from tests.unit.processors.conftest import Shop

    from jobstream_processors.ports import TopicPartition

GROUP = "shop"
OFFSETS = "shop.offsets"


class Bureau:
    """One worker that takes partition 0 over, as often as it is asked to."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.place: TopicPartition = (shop.plan.topic, 0)
        self.takeover = Takeover(
            GROUP,
            shop.plans,
            shop.sink,
            shop.log,
            MemoryTables(shop.log),
            shop.mirrors,
            shop.clock,
        )

    def fill(self, count: int) -> None:
        for number in range(count):
            self.shop.put(b"%d" % number)

    def claim(self) -> int:
        """An owner that dies before it announced anything."""
        now_ms = self.shop.clock.broker_ms()
        row = Row("claim", "", "", 0, 0, 0, b"", b"", now_ms, 0, GROUP)
        record = Outgoing(self.shop.plan.dedup, row_key(row), encode_row(row), 0)
        return self.shop.sink.publish([record])[self.shop.plan.dedup, 0]

    def lane(self) -> Lane:
        return Lane("mail", self.place, self.shop.plan.window_ms, 10_000)

    def take(self, committed: Position | None = None) -> tuple[Lane, int]:
        lane = self.lane()
        start = self.takeover.prepare(lane, committed)
        assert start is not None, lane.refused
        return lane, start

    def mirror(
        self,
        position: int,
        finished: tuple[tuple[int, int], ...] = (),
        *,
        topic_id: str = "",
        unclean: int = 0,
        claim: int = -1,
        may_begin: int = 0,
    ) -> None:
        made = Mirror(
            group=GROUP,
            topic=self.shop.plan.topic,
            topic_id=topic_id or self.shop.broker.topic_id(self.shop.plan.topic),
            partition=0,
            position=position,
            finished=finished,
            unclean=unclean,
            at=self.shop.clock.broker_ms(),
            claim=claim,
            may_begin=may_begin,
        )
        self.shop.sink.publish([Outgoing(OFFSETS, mirror_key(made), encode_mirror(made), 0)])


@pytest.fixture
def bureau(shop: Shop) -> Bureau:
    made = Bureau(shop)
    made.fill(10)
    return made


@pytest.mark.parametrize(
    ("committed", "mirrored", "start"),
    [(None, None, 0), (4, None, 4), (None, 6, 6), (4, 6, 6), (6, 4, 6), (10, None, 10)],
)
def test_starts_at_the_highest_watermark_anyone_recorded(
    bureau: Bureau, committed: int | None, mirrored: int | None, start: int
) -> None:
    if mirrored is not None:
        bureau.mirror(mirrored)

    lane, found = bureau.take(Position(committed) if committed is not None else None)

    assert found == start
    assert lane.watermark.position == start
    assert lane.snapshot[0] == start


def test_with_nothing_recorded_it_starts_where_the_log_starts(bureau: Bureau) -> None:
    bureau.shop.broker.truncate(bureau.shop.plan.topic, 0, 3)

    assert bureau.take()[1] == 3


def test_jobs_finished_above_the_watermark_are_not_begun_again(bureau: Bureau) -> None:
    bureau.mirror(2, finished=((3, 5), (7, 8)))

    lane, start = bureau.take()

    begun = [offset for offset in range(start, 10) if lane.watermark.begin(offset)]
    assert begun == [2, 5, 6, 8, 9]


def test_the_mirror_of_a_topic_made_anew_is_ignored(bureau: Bureau) -> None:
    bureau.mirror(6, topic_id="another incarnation")

    assert bureau.take()[1] == 0


def test_a_place_beyond_the_log_is_refused_and_names_the_command(
    bureau: Bureau, caplog: pytest.LogCaptureFixture
) -> None:
    lane = bureau.lane()

    assert bureau.takeover.prepare(lane, Position(11)) is None

    assert "next offset 11 lies beyond the end of the log" in lane.refused
    assert "the log holds 0 to 10" in lane.refused
    assert "jobstream offsets reset" in lane.refused
    assert "partition_refused" in caplog.messages
    assert lane.claim == -1


def test_a_log_that_lost_its_end_and_grew_past_the_place_again_is_told(bureau: Bureau) -> None:
    bureau.mirror(6)
    bureau.shop.broker.cut(bureau.shop.plan.topic, 0, 3)
    bureau.shop.clock.advance(YOUNGER_MS + 1)
    bureau.fill(10)
    lane = bureau.lane()

    assert bureau.takeover.prepare(lane, Position(6)) is None

    assert "the records from 3 on, before it, were written after it was recorded" in lane.refused
    bureau.mirror(6, unclean=RESET)
    assert bureau.take(Position(6))[1] == 6, "an operator has decided"


def test_a_log_that_only_grew_is_no_log_that_lost_its_end(bureau: Bureau) -> None:
    bureau.mirror(10)
    bureau.shop.clock.advance(YOUNGER_MS * 10)
    bureau.fill(10)

    assert bureau.take(Position(10))[1] == 10


def test_what_was_committed_for_a_topic_of_before_is_ignored(bureau: Bureau) -> None:
    place = bureau.shop.plan.topic
    before = in_topic(Position(4), bureau.shop.broker.topic_id(place))
    assert bureau.take(before)[1] == 4

    bureau.shop.broker.recreate_topic(place)
    bureau.fill(10)
    bureau.shop.log.topic_id(place, anew=True)

    assert bureau.take(before)[1] == 0


def test_a_topic_made_anew_is_noticed_where_the_old_place_does_not_fit(bureau: Bureau) -> None:
    place = bureau.shop.plan.topic
    before = in_topic(Position(4), bureau.shop.broker.topic_id(place))
    bureau.take(before)

    bureau.shop.broker.recreate_topic(place)
    bureau.fill(2)
    lane, start = bureau.take(before)

    assert start == 0
    assert lane.topic_id == bureau.shop.broker.topic_id(place)


def test_a_place_that_was_deleted_is_refused_and_nobody_is_suspected_after_a_reset(
    bureau: Bureau, caplog: pytest.LogCaptureFixture
) -> None:
    before, _ = bureau.take()
    bureau.shop.broker.truncate(bureau.shop.plan.topic, 0, 3)
    lane, left = bureau.lane(), clean_note(before.claim, 2, 0)

    assert bureau.takeover.prepare(lane, Position(2, left)) is None

    assert "next offset 2 was deleted by retention" in lane.refused
    assert "the log holds 3 to 10" in lane.refused
    assert "jobstream offsets reset" in lane.refused
    assert "partition_refused" in caplog.messages
    assert lane.claim == -1
    after, start = bureau.take(Position(3, left))
    assert (start, after.suspect_before) == (3, 0)


def test_a_mirror_beyond_the_log_is_refused_as_a_commit_is(bureau: Bureau) -> None:
    bureau.mirror(11)
    lane = bureau.lane()

    assert bureau.takeover.prepare(lane, Position(5)) is None
    assert "lies beyond the end" in lane.refused


def test_each_owner_claims_with_a_higher_token(bureau: Bureau) -> None:
    first, _ = bureau.take()
    second, _ = bureau.take()

    assert second.claim > first.claim
    assert bureau.shop.broker.records(bureau.shop.plan.dedup)[-1].offset() == second.claim


def test_a_claim_that_was_not_acknowledged_takes_nothing_over(bureau: Bureau) -> None:
    bureau.shop.broker.fail_publishes(1)

    with pytest.raises(PublishFailed):
        bureau.take()


def test_taking_over_is_mirrored_before_the_first_job_runs(bureau: Bureau) -> None:
    bureau.mirror(4, finished=((6, 7),))

    bureau.take()

    told = decode_mirror(bureau.shop.broker.records(OFFSETS)[-1].value() or b"")
    assert (told.position, told.finished, told.unclean) == (4, ((6, 7),), 1)


def test_the_first_owner_ever_suspects_nothing(bureau: Bureau) -> None:
    lane, _ = bureau.take()

    assert (lane.suspect_before, lane.unclean, lane.suspect_from_ms) == (0, 0, 0)


def test_the_clean_word_of_the_last_owner_clears_the_partition(bureau: Bureau) -> None:
    first, _ = bureau.take()

    second, _ = bureau.take(Position(4, f"clean:{first.claim}"))

    assert (second.suspect_before, second.unclean) == (0, 0)


def test_suspicion_that_an_owner_left_behind_goes_on_and_costs_no_pause(bureau: Bureau) -> None:
    first, _ = bureau.take()

    second, _ = bureau.take(Position(4, f"clean:{first.claim}:8"))

    assert (second.suspect_before, second.unclean, second.suspect_from_ms) == (8, 0, 0)


def test_a_commit_without_a_note_makes_the_rest_of_the_log_suspect(bureau: Bureau) -> None:
    bureau.take()

    second, _ = bureau.take(Position(4))

    assert (second.suspect_before, second.unclean) == (10, 1)


def test_the_clean_word_of_an_owner_before_the_last_counts_for_nothing(bureau: Bureau) -> None:
    first, _ = bureau.take()
    bureau.take(Position(0, f"clean:{first.claim}"))

    # When the second owner vanished, its predecessor's note is still what is committed
    third, _ = bureau.take(Position(0, f"clean:{first.claim}"))

    assert (third.suspect_before, third.unclean) == (10, 1)


def test_only_what_the_dead_owner_may_have_begun_is_suspect(bureau: Bureau) -> None:
    bureau.fill(1_000)
    first, _ = bureau.take()
    assert first.may_begin < 100

    second, _ = bureau.take()
    bureau.mirror(4, claim=second.claim, may_begin=70)
    third, _ = bureau.take()

    assert second.suspect_before == first.may_begin
    assert (third.watermark.position, third.suspect_before) == (4, 70)


def test_nothing_that_comes_after_a_death_is_suspect(bureau: Bureau) -> None:
    bureau.take()

    heir, _ = bureau.take()
    bureau.fill(5)

    assert heir.suspect_before == 10


def test_an_owner_that_said_nothing_may_have_begun_all_of_the_log(bureau: Bureau) -> None:
    bureau.fill(1_000)
    bureau.take()
    bureau.claim()

    heir, _ = bureau.take()

    assert heir.suspect_before == 1_010


def test_a_late_mirror_of_an_owner_before_the_last_tells_nothing(bureau: Bureau) -> None:
    bureau.fill(1_000)
    first, _ = bureau.take()
    second, _ = bureau.take()
    bureau.mirror(0, claim=second.claim, may_begin=300)
    bureau.mirror(50, claim=first.claim, may_begin=60)

    heir, _ = bureau.take()

    assert (heir.watermark.position, heir.suspect_before) == (50, 300)


def test_when_retention_took_all_claims_the_last_owner_is_the_one_with_the_highest(
    bureau: Bureau,
) -> None:
    bureau.fill(1_000)
    first, _ = bureau.take()
    bureau.mirror(0, claim=first.claim + 1, may_begin=200)
    bureau.shop.broker.truncate(bureau.shop.plan.dedup, 0, first.claim + 1)

    heir, _ = bureau.take()

    assert heir.suspect_before == 200


def test_suspicion_that_goes_on_is_announced_to_the_next_owner_as_well(bureau: Bureau) -> None:
    bureau.fill(1_000)
    bureau.take()
    bureau.claim()
    heir, _ = bureau.take()

    last, _ = bureau.take()

    assert heir.suspect_before == last.suspect_before == 1_010


def test_once_all_suspects_have_ended_the_row_of_deaths_is_over(bureau: Bureau) -> None:
    bureau.fill(1_000)
    bureau.take()
    heir, _ = bureau.take()
    assert heir.unclean == 1

    heir.watermark = Watermark(heir.suspect_before)
    heir.show()
    bureau.shop.sink.publish([bureau.takeover.mirror_record(heir)])

    assert bureau.take()[0].unclean == 1


def test_owners_that_vanish_in_a_row_lengthen_the_pause_to_a_bound(
    bureau: Bureau, caplog: pytest.LogCaptureFixture
) -> None:
    pauses = []
    for _ in range(9):
        lane, _ = bureau.take(Position(4))
        pauses.append(max(0, lane.suspect_from_ms - bureau.shop.clock.monotonic_ms()))

    # The very first owner has a commit before it that nobody's claim answers for.
    assert pauses[:5] == [0, 1_000, 2_000, 4_000, 8_000]
    assert pauses[-1] == SUSPECT_PAUSE_MS_MAX
    alarms = [r for r in caplog.records if r.message == "takeover_unclean"]
    assert [r.levelname for r in alarms[:4]] == ["WARNING", "WARNING", "ERROR", "ERROR"]


def test_a_clean_owner_ends_the_row_of_vanished_ones(bureau: Bureau) -> None:
    for _ in range(3):
        lane, _ = bureau.take(Position(4))

    clean, _ = bureau.take(Position(4, f"clean:{lane.claim}"))
    vanished, _ = bureau.take(Position(4))

    assert (clean.unclean, vanished.unclean) == (0, 1)
