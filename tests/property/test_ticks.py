"""What becomes of ticks: each is dealt with once, however late and in whatever portions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from jobstream_processors.core import ticks
from jobstream_processors.core.firing import offset_ms, plan_ticks
from jobstream_processors.core.ticks import AT_ONCE_MAX, GRACE_MS, MISSED, OVERLAP, Due, Every, due

if TYPE_CHECKING:
    import pytest

HOUR_MS = 3_600_000
times = st.integers(0, 40 * HOUR_MS)
intervals = st.integers(1_000, 3 * HOUR_MS)


@given(intervals, st.integers(-HOUR_MS, HOUR_MS), times)
def test_an_interval_has_the_tick_right_after_a_moment(
    every_ms: int, anchor_ms: int, at_ms: int
) -> None:
    tick = Every(every_ms, anchor_ms).next_ms(at_ms)

    assert at_ms < tick <= at_ms + every_ms
    assert (tick - anchor_ms) % every_ms == 0


@given(intervals, times, times, st.sampled_from(MISSED), st.integers(0, 24 * HOUR_MS))
def test_every_tick_is_dealt_with_once(
    every_ms: int, after_ms: int, passed_ms: int, missed: str, catch_up_ms: int
) -> None:
    calendar, now_ms = Every(every_ms), after_ms + passed_ms
    at_ms, fired, left_out = after_ms, list[int](), 0
    while (found := due(calendar, (at_ms, now_ms), now_ms, missed, catch_up_ms)) is not None:
        assert at_ms < found.through_ms <= now_ms
        assert len(found.fires) <= AT_ONCE_MAX
        fired += found.fires
        left_out += found.missed + found.merged
        at_ms = found.through_ms

    every = range(calendar.next_ms(after_ms), now_ms + 1, every_ms)
    if len(every) <= ticks.COUNTED_MAX:
        assert len(fired) + left_out == len(every)
    assert fired == sorted(set(fired))
    assert set(fired) <= set(every)
    oldest_ms = now_ms - max(catch_up_ms, GRACE_MS)
    assert all(tick >= oldest_ms for tick in fired)
    alive = [tick for tick in every if tick >= oldest_ms]
    if missed == "all":
        assert fired == alive
    elif missed == "skip":
        assert fired == [tick for tick in alive if tick >= now_ms - GRACE_MS]
    else:
        none_is_missed = not every or every[0] >= now_ms - GRACE_MS
        assert fired == (alive if none_is_missed else alive[-1:])


def test_two_weeks_of_five_seconds_are_one_job_and_little_work() -> None:
    found = due(Every(5_000), (0, 14 * 24 * HOUR_MS), 14 * 24 * HOUR_MS, "one", HOUR_MS)

    assert found is not None
    assert found.fires == (14 * 24 * HOUR_MS,)
    assert not found.counted_all
    assert found.missed == ticks.COUNTED_MAX


def test_the_last_tick_is_found_also_beyond_what_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ticks, "COUNTED_MAX", 10)

    found = due(Every(1_000, 300), (0, HOUR_MS), HOUR_MS, "one", HOUR_MS)

    assert found is not None
    assert found.fires == (HOUR_MS - 700,)
    assert found.through_ms == HOUR_MS - 700


@given(
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.sampled_from(OVERLAP)), min_size=1, max_size=30
    )
)
def test_no_two_jobs_overlap_and_no_tick_is_forgotten(
    turns: list[tuple[bool, bool, str]],
) -> None:
    counts, pending, goes_on = Counter[str](), 0, False
    seen = list[int]()
    for tick, (ends, is_paused, overlap) in enumerate(turns, 1):
        goes_on = goes_on and not ends
        found = Due((tick,), tick)
        planned = plan_ticks(pending, overlap, found, has_ended=not goes_on, is_paused=is_paused)
        if overlap != "allow":
            assert len(planned.fires) <= 1
            assert not (planned.fires and goes_on)
        assert not (planned.fires and is_paused)
        if overlap == "skip" and not pending:
            assert not planned.pending_ms
        goes_on = goes_on or bool(planned.fires)
        seen += planned.fires
        counts.update(fired=len(planned.fires), merged=planned.merged, skipped=planned.skipped)
        pending = planned.pending_ms

    assert counts.total() + bool(pending) == len(turns)
    assert len(set(seen)) == len(seen)


@given(st.text(max_size=20), st.integers(0, HOUR_MS))
def test_a_spread_is_one_offset_for_each_name(name: str, spread_ms: int) -> None:
    assert 0 <= offset_ms(name, spread_ms) < max(1, spread_ms)
    assert offset_ms(name, spread_ms) == offset_ms(name, spread_ms)


def test_a_spread_scatters_schedules() -> None:
    assert len({offset_ms(f"report-{n}", HOUR_MS) for n in range(100)}) > 95
