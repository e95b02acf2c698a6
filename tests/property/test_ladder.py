"""The delay ladder ends on time for any delay: never early, late by one hop's trouble at most.

The clock is the broker's. Between the moment a record may leave a rung and the moment its copy is
appended to the next one lies the lag of that hop: the time until the delayer sees the head, and the
time the publish takes.
"""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from jobstream_processors.core.ladder import (
    EXACT,
    EXACT_MS_MAX,
    RUNG_MS,
    RUNGS,
    Wait,
    next_stop,
    rung_for,
    rung_partition,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

DAY_MS = 86_400_000
LAG_MS_MAX = 2_000
HOPS_BELOW_A_DAY = 3 + 5 + 5 + 4 + 3 + 5 + 1
"""The most hops a wait shorter than a day takes: 6h, 1h, 10m, 2m, 30s, 5s, and the exact rung."""

starts = st.integers(0, 1 << 44)
delays = st.integers(0, 400 * DAY_MS) | st.sampled_from(
    [ms + by for ms in RUNG_MS.values() for by in (-1, 0, 1) if ms + by >= 0]
)
lags = st.lists(st.integers(0, LAG_MS_MAX), max_size=60)


class Retry(NamedTuple):
    """A whole way: the rungs it stood on, and when the job came back to its queue."""

    stops: list[Wait]
    arrived_ms: int


def descend(start_ms: int, delay_ms: int, hop_lags: Iterable[int]) -> Retry:
    """Go the way of a delayed job; each hop leaves and is appended one lag later."""
    due_ms = start_ms + delay_ms
    stops = [Wait(rung_for(delay_ms), start_ms, due_ms)]
    for lag_ms in chain(hop_lags, repeat(0)):
        now_ms = stops[-1].leaves_ms + lag_ms // 2
        appended_ms = now_ms + lag_ms - lag_ms // 2
        rung = next_stop(stops[-1], now_ms)
        if rung is None:
            return Retry(stops, appended_ms)
        stops.append(Wait(rung, appended_ms, due_ms))
    raise AssertionError


@given(starts, delays, lags)
def test_job_is_never_early(start_ms: int, delay_ms: int, hop_lags: list[int]) -> None:
    assert descend(start_ms, delay_ms, hop_lags).arrived_ms >= start_ms + delay_ms


@given(starts, delays, lags)
def test_job_is_late_by_two_hops_lag_at_most(
    start_ms: int, delay_ms: int, hop_lags: list[int]
) -> None:
    """However many hops: one that put the job on its last rung late, and the last one itself."""
    late_ms = descend(start_ms, delay_ms, hop_lags).arrived_ms - (start_ms + delay_ms)

    assert late_ms <= 2 * max(hop_lags, default=0)


@given(starts, delays)
def test_job_is_on_time_to_the_millisecond_without_lag(start_ms: int, delay_ms: int) -> None:
    assert descend(start_ms, delay_ms, []).arrived_ms == start_ms + delay_ms


@given(starts, delays, lags)
def test_hops_are_bounded(start_ms: int, delay_ms: int, hop_lags: list[int]) -> None:
    hops = len(descend(start_ms, delay_ms, hop_lags).stops)

    # A lag can turn the last day into smaller rungs; it can't add a day.
    assert hops <= delay_ms // DAY_MS + HOPS_BELOW_A_DAY


@given(starts, lags)
def test_thirty_days_cost_about_fifty_hops(start_ms: int, hop_lags: list[int]) -> None:
    assert len(descend(start_ms, 30 * DAY_MS, hop_lags).stops) <= 56


@given(starts, delays, lags)
def test_rung_is_never_longer_than_what_remains(
    start_ms: int, delay_ms: int, hop_lags: list[int]
) -> None:
    for stop in descend(start_ms, delay_ms, hop_lags).stops:
        decided_ms = stop.appended_ms - LAG_MS_MAX
        assert RUNG_MS[stop.rung] <= max(0, stop.due_ms - decided_ms)


@given(st.integers(-(1 << 44), 1 << 44))
def test_rung_is_the_largest_that_fits(remaining_ms: int) -> None:
    chosen = RUNG_MS[rung_for(remaining_ms)]

    assert chosen == max((ms for ms in RUNG_MS.values() if ms <= remaining_ms), default=0)


@given(st.sampled_from(RUNGS), starts, delays, st.integers(0, DAY_MS))
def test_overdue_goes_to_the_queue(rung: str, start_ms: int, wait_ms: int, over_ms: int) -> None:
    wait = Wait(rung, start_ms, start_ms + wait_ms)

    assert next_stop(wait, wait.due_ms + over_ms) is None


@given(st.sampled_from(RUNGS), starts, delays)
def test_head_stays_its_whole_delay(rung: str, start_ms: int, wait_ms: int) -> None:
    wait = Wait(rung, start_ms, start_ms + wait_ms)

    assert wait.leaves_ms >= start_ms + RUNG_MS[rung]
    if rung == EXACT:
        assert wait.leaves_ms == (wait.due_ms if wait_ms <= EXACT_MS_MAX else start_ms)


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_rung_partition_exists(destination: int, partitions: int) -> None:
    assert 0 <= rung_partition(destination, partitions) < partitions
