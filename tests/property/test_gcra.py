"""Never more starts than a rate and its burst allow, in any window; promises in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobstream_processors.core.gcra import NS, CellRate, Gcra, share_of

PACES = st.builds(CellRate, st.integers(1, 50), st.integers(1, 3_000), st.integers(1, 6))
GAPS = st.lists(st.integers(0, 800), min_size=1, max_size=80)


def passes(starts: list[int], pace: CellRate, rounded_ms: int = 0) -> bool:
    """By looking at every window that begins and ends with a start."""
    for first, begin in enumerate(starts):
        for last in range(first, len(starts)):
            window_ms = starts[last] - begin + rounded_ms
            allowed = pace.burst * pace.period_ms + window_ms * pace.starts
            if (last - first + 1) * pace.period_ms > allowed:
                return False
    return True


@given(PACES, GAPS)
def test_promised_starts_keep_the_rate_and_come_first_come_first_served(
    pace: CellRate, gaps: list[int]
) -> None:
    meter, now, due = Gcra(pace), 10_000, []
    for gap in gaps:
        now += gap
        due.append(meter.promise(now))
        assert due[-1] >= now
    assert due == sorted(due)
    # A moment is rounded up to a millisecond; what starts at it is weighed again by `may_start_at`.
    assert passes(due, pace, rounded_ms=1)


@given(PACES, GAPS)
def test_nobody_waits_for_longer_than_the_rate_asks(pace: CellRate, gaps: list[int]) -> None:
    meter, now, starts = Gcra(pace), 10_000, list[int]()
    for gap in gaps:
        now += gap
        due = meter.promise(now)
        # A step is rounded up to a nanosecond, and a moment to a millisecond.
        assert due - now <= 1 or not passes([*starts, due - 2], pace)
        starts.append(due)


@given(PACES, st.lists(st.tuples(st.integers(0, 400), st.integers(0, 2_000)), max_size=60))
def test_starts_that_come_late_keep_the_rate_all_the_same(
    pace: CellRate, asked: list[tuple[int, int]]
) -> None:
    meter, now = Gcra(pace), 10_000
    waiting: list[int] = []
    for gap, late in asked:
        now += gap
        waiting.append(meter.promise(now) + late)
    starts: list[int] = []
    steps = 0
    while waiting:
        waiting.sort()
        now = max(now, waiting.pop(0))
        if meter.may_start_at(now) <= now:
            meter.started(now)
            starts.append(now)
        else:
            again = meter.promise_late(now)
            assert again > now
            waiting.append(again)
        steps += 1
        assert steps <= 20 * (len(asked) + 1), "each asks again a few times at most"
    assert len(starts) == len(asked)
    assert passes(starts, pace)


@given(PACES, PACES, GAPS)
def test_a_change_of_pace_lets_nothing_start_that_neither_pace_allows(
    before: CellRate, after: CellRate, gaps: list[int]
) -> None:
    meter, now = Gcra(before), 10_000
    for gap in gaps:
        now += gap
        if meter.may_start_at(now) <= now:
            meter.started(now)
    meter.change_pace(after, now)
    starts = []
    for gap in gaps:
        now += gap
        if meter.may_start_at(now) <= now:
            meter.started(now)
            starts.append(now)
    assert passes(starts, after)


@given(PACES, st.integers(0, 5_000))
def test_a_slowed_key_starts_nothing_before_its_time_and_no_burst_then(
    pace: CellRate, wait: int
) -> None:
    meter = Gcra(pace)
    meter.slow(10_000 + wait)
    assert meter.may_start_at(10_000) == 10_000 + wait
    assert meter.promise(10_000) == 10_000 + wait
    meter.started(10_000 + wait)
    assert meter.may_start_at(10_000 + wait) == 10_000 + wait - (-pace.step_ns // NS)


@given(PACES, GAPS)
def test_a_meter_that_is_idle_is_as_good_as_new(pace: CellRate, gaps: list[int]) -> None:
    meter, now = Gcra(pace), 10_000
    for gap in gaps:
        now += gap
        meter.started(meter.promise(now))
    later = meter.promised_ms
    fresh = Gcra(pace)
    assert meter.is_idle(later)
    assert [meter.promise(later) for _ in range(20)] == [fresh.promise(later) for _ in range(20)]


@given(PACES, GAPS)
def test_what_is_told_to_the_next_owner_keeps_the_rate(pace: CellRate, gaps: list[int]) -> None:
    meter, now, starts = Gcra(pace), 10_000, list[int]()
    for gap in gaps:
        now += gap
        if meter.may_start_at(now) <= now:
            meter.started(now)
            starts.append(now)
        meter = Gcra(pace, meter.paid_ms, meter.promised_ms)
    assert passes(starts, pace)


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_shares_add_up_to_the_whole(whole: int, partitions: int) -> None:
    shares = [share_of(whole, each, partitions) for each in range(partitions)]
    assert sum(shares) == whole
    assert max(shares) - min(shares) <= 1


def test_at_a_faster_pace_as_many_starts_are_owed_and_a_slow_down_stays() -> None:
    meter = Gcra(CellRate(1, 60_000, 1))
    assert [meter.promise(0) for _ in range(3)] == [0, 60_000, 120_000]
    meter.change_pace(CellRate(1, 1_000, 1), 0)
    assert meter.promise(0) == 3_000

    meter = Gcra(CellRate(1, 60_000, 1))
    meter.started(0)
    meter.slow(90_000)
    meter.change_pace(CellRate(10, 1_000, 5), 0)
    assert meter.may_start_at(0) == 90_000


@pytest.mark.pure("inherits from a compiled class")
def test_what_another_thread_reads_while_the_pace_changes_belongs_to_one_pace() -> None:
    hourly, quick = CellRate(1, 3_600_000, 1), CellRate(10, 1_000, 1)

    class Changing(Gcra):
        """Its pace changes as its first number is read."""

        others: list[CellRate]

        @property
        def paid_ms(self) -> int:
            if self.others:
                self.change_pace(self.others.pop(), 0)
                self.promise(0)
            return super().paid_ms

    meter = Changing(quick)
    meter.others = [hourly]
    assert meter.standing() == (hourly, 0, 3_600_000)
    meter.others = [quick]
    assert meter.standing() == (quick, 0, 200)


def test_at_a_slower_pace_nothing_is_owed_that_was_not() -> None:
    meter = Gcra(CellRate(1, 1_000, 1))
    meter.started(0)
    meter.change_pace(CellRate(1, 60_000, 1), 0)
    assert meter.may_start_at(0) == 1_000
