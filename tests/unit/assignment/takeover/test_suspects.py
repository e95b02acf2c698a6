"""Which jobs the next owner suspects after an owner that died, left, or never began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jobstream.testing.memory_tables import MemoryTables
from jobstream_processors.assignment.handover import NOTHING_LEFT, Handed, Lost, left_of
from jobstream_processors.assignment.takeover import SUSPECT_PAUSE_MS_MAX
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.ports import Position

if TYPE_CHECKING:
    from tests.unit.assignment.takeover.conftest import Bureau

    from jobstream_processors.assignment.takeover import OpenShard

OFFSETS = "shop.offsets"


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


@pytest.mark.parametrize("between", [False, True])
def test_who_lived_here_when_its_topic_was_made_anew_is_no_suspect(
    bureau: Bureau, *, between: bool
) -> None:
    first, _ = bureau.take()
    if between:
        bureau.take()
    arrival = bureau.arrival()
    arrival.after = first.last_word()

    heir = bureau.takeover.prepare(arrival)
    assert heir is not None

    assert (heir.suspect_before > 0) is between
    assert (heir.unclean > 0) is between


def test_what_goes_on_elsewhere_is_known_to_who_begins_anew_here(bureau: Bureau) -> None:
    runs = ((5, 6, 9_000),)
    first, _ = bureau.take()
    first.left = left_of([(3, 4)], runs)
    arrival = bureau.arrival()
    arrival.after = first.last_word()

    heir = bureau.takeover.prepare(arrival)
    assert heir is not None

    assert heir.left == left_of([], runs), "what had ended may be another job's offset by now"


def test_who_lost_a_partition_and_lives_suspects_none_of_its_own_jobs(bureau: Bureau) -> None:
    first, _ = bureau.take()
    left = left_of([(5, 6)], [])
    bureau.claim()  # and somebody who began nothing

    third, _ = bureau.take(Position(4), lost=Lost(first.claim, Handed(8, left)))

    assert (third.suspect_before, third.left, third.unclean) == (8, left, 0)


def test_who_lost_a_partition_suspects_the_jobs_of_an_owner_since_then(bureau: Bureau) -> None:
    first, _ = bureau.take()
    bureau.take()

    third, _ = bureau.take(Position(4), lost=Lost(first.claim, Handed(0, NOTHING_LEFT)))

    assert (third.suspect_before, third.unclean) == (10, 2)


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


def test_where_no_owner_ever_announced_anything_all_of_the_log_may_have_begun(
    bureau: Bureau,
) -> None:
    bureau.fill(1_000)
    bureau.claim()

    heir, _ = bureau.take()

    assert heir.suspect_before == 1_010


def test_who_claimed_and_announced_nothing_began_nothing(bureau: Bureau) -> None:
    bureau.fill(1_000)
    first, _ = bureau.take()
    bureau.claim()
    bureau.claim()

    heir, _ = bureau.take()

    assert heir.suspect_before == first.may_begin, "what the one before them may have begun"


def test_a_clean_word_holds_beyond_owners_that_began_nothing(bureau: Bureau) -> None:
    first, _ = bureau.take()
    bureau.claim()

    heir, _ = bureau.take(Position(4, f"clean:{first.claim}:8"))

    assert (heir.suspect_before, heir.unclean) == (8, 0)


def test_a_lane_that_ends_while_it_is_restored_announces_nothing(bureau: Bureau) -> None:
    first, _ = bureau.take()
    ended = bureau.arrival()

    class Revoked(MemoryTables):
        def open(self, *args: Any, **kwargs: Any) -> OpenShard:  # noqa: ANN401 - as the port has it
            opened = super().open(*args, **kwargs)
            ended.end()
            return opened

    assert bureau.served_by(Revoked(bureau.shop.log)).takeover.prepare(ended) is None

    heir, _ = bureau.take(Position(4, f"clean:{first.claim}"))

    assert first.claim < ended.claim < heir.claim
    assert (heir.suspect_before, heir.unclean) == (0, 0)


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
    bureau.takeover.mirror.publish([heir])

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
