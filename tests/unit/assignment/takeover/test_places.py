"""Taking a partition over: claim, restore, and the highest watermark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream_processors.assignment.handover import clean_note
from jobstream_processors.assignment.places import YOUNGER_MS
from jobstream_processors.errors import PublishFailed
from jobstream_processors.ports import Position
from jobstream_processors.topic_marks import in_topic
from jobstream_schemas import RESET, decode_mirror

if TYPE_CHECKING:
    from tests.unit.assignment.takeover.conftest import Bureau

OFFSETS = "shop.offsets"


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
    arrival = bureau.arrival(Position(11))

    assert bureau.takeover.prepare(arrival) is None

    assert "next offset 11 lies beyond the end of the log" in arrival.refused
    assert "the log holds 0 to 10" in arrival.refused
    assert "jobstream offsets reset" in arrival.refused
    assert "partition_refused" in caplog.messages
    assert arrival.claim == -1


def test_a_log_that_lost_its_end_and_grew_past_the_place_again_is_told(bureau: Bureau) -> None:
    bureau.mirror(6)
    bureau.shop.broker.cut(bureau.shop.plan.topic, 0, 3)
    bureau.shop.clock.advance(YOUNGER_MS + 1)
    bureau.fill(10)
    arrival = bureau.arrival(Position(6))

    assert bureau.takeover.prepare(arrival) is None

    assert "the records from 3 on, before it, were written after it was recorded" in arrival.refused
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
    left = clean_note(before.claim, 2, 0)
    arrival = bureau.arrival(Position(2, left))

    assert bureau.takeover.prepare(arrival) is None

    assert "next offset 2 was deleted by retention" in arrival.refused
    assert "the log holds 3 to 10" in arrival.refused
    assert "jobstream offsets reset" in arrival.refused
    assert "partition_refused" in caplog.messages
    assert arrival.claim == -1
    after, start = bureau.take(Position(3, left))
    assert (start, after.suspect_before) == (3, 0)


def test_a_mirror_beyond_the_log_is_refused_as_a_commit_is(bureau: Bureau) -> None:
    bureau.mirror(11)
    arrival = bureau.arrival(Position(5))

    assert bureau.takeover.prepare(arrival) is None
    assert "lies beyond the end" in arrival.refused


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
