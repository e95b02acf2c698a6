"""A pause holds what would fire while it is in force, and nothing else, whoever looks when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobstream_processors.core.firing import plan_ticks
from jobstream_processors.core.ticks import Every
from jobstream_processors.schedule.schedule_book import Scheduled
from jobstream_processors.schedule.timetable import OwnedSchedule
from jobstream_schemas import OrderRecord, PlaceRecord, ScheduleRecord

EVERY_MS, DAY_MS = 60_000, 86_400_000
PAUSE = OrderRecord("each", "pause", "", "ann", "", 0, 0)
moments = st.integers(1, 20 * EVERY_MS)


def owned(offset_ms: int) -> OwnedSchedule:
    """A schedule of a minute that fires so much later than its ticks."""
    made = ScheduleRecord(
        "each", "work", "", "", EVERY_MS, 0, "all", DAY_MS, "allow", 0, b"", "code", ""
    )
    standing = OwnedSchedule(Scheduled("each", made))
    standing.calendar, standing.offset_ms = Every(EVERY_MS), offset_ms
    return standing


def act(standing: OwnedSchedule, now_ms: int) -> tuple[list[int], int]:
    """The ticks that fire at that moment, and how many are skipped."""
    fired, skipped = list[int](), 0
    while True:
        ticks, is_paused = standing.due(now_ms)
        if ticks is None:
            return fired, skipped
        plan = plan_ticks(0, "allow", ticks, has_ended=True, is_paused=is_paused)
        fired += plan.fires
        skipped += plan.skipped
        standing.scheduled.place = PlaceRecord("each", ticks.through_ms)


@given(
    st.integers(0, 3 * EVERY_MS),
    st.lists(moments, max_size=30),
    moments,
    st.one_of(st.just(0), moments),
    st.sampled_from(["by itself", "by an order"]),
)
def test_ticks_are_held_that_would_fire_in_a_pause(
    offset_ms: int, looks: list[int], began_ms: int, length_ms: int, ends: str
) -> None:
    until_ms = began_ms + length_ms if length_ms else 0
    standing, fired, skipped = owned(offset_ms), list[int](), 0
    now_ms = 0
    for now_ms in [*sorted(looks), 50 * EVERY_MS]:
        # Its owner knows of a pause once that has begun, and of an end that is ordered after it.
        standing.scheduled.pause = PAUSE if now_ms >= began_ms else None
        if ends == "by itself" or now_ms >= until_ms:
            standing.scheduled.paused_ms = began_ms, until_ms
        else:
            standing.scheduled.paused_ms = began_ms, 0
        found, left_out = act(standing, now_ms)
        fired += found
        skipped += left_out

    due = range(EVERY_MS, now_ms - offset_ms + 1, EVERY_MS)
    ends_ms = until_ms or now_ms
    held = [tick for tick in due if began_ms < tick + offset_ms <= ends_ms]
    assert fired == [tick for tick in due if tick not in held]
    assert skipped == len(held)
