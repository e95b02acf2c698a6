"""Back-pressure against a naive model: sets of offsets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobstream.enqueue.known_lag import KnownLag
from jobstream_processors.core.back_pressure import (
    RETRY_MS_MAX,
    RETRY_MS_MIN,
    Pace,
    QueueBounds,
    QueueLook,
    judge,
    retry_ms,
    unfinished,
)
from jobstream_schemas import Mirror

counts = st.integers(0, 1_000_000)


@st.composite
def logs(draw: st.DrawFn) -> tuple[int, set[int], int, int]:
    """(watermark, finished offsets above it, log start, log end)."""
    low = draw(st.integers(0, 20))
    high = draw(st.integers(low, 40))
    position = draw(st.integers(0, high))
    above = draw(st.sets(st.integers(position, high - 1))) if high > position else set()
    return position, above, low, high


def ranges(found: set[int]) -> tuple[tuple[int, int], ...]:
    starts = sorted(offset for offset in found if offset - 1 not in found)
    stops = sorted(offset + 1 for offset in found if offset + 1 not in found)
    return tuple(zip(starts, stops, strict=True))


def mirror(
    partition: int,
    position: int,
    finished: set[int],
    *,
    topic_id: str = "id",
    unclean: int = 0,
    at: int = 0,
) -> Mirror:
    above = ranges(finished)
    return Mirror("shop", "shop.mail", topic_id, partition, position, above, unclean, at)


@given(st.lists(logs(), min_size=1, max_size=4), st.integers(0, 45))
def test_depth_is_what_a_naive_count_of_each_offset_says(
    partitions: list[tuple[int, set[int], int, int]], young: int
) -> None:
    lag = KnownLag()
    waiting = late = 0
    for number, (position, above, low, high) in enumerate(partitions):
        lag.take(mirror(number, position, above))
        left = set(range(max(low, position), high)) - above
        waiting += len(left)
        late += sum(offset < young for offset in left)

    look = lag.look(
        5,
        {number: (low, high) for number, (_, _, low, high) in enumerate(partitions)},
        dict.fromkeys(range(len(partitions)), young),
    )

    assert look is not None
    assert (look.depth, look.late) == (waiting, late)


@given(st.lists(logs(), min_size=1, max_size=4))
def test_a_partition_that_no_worker_served_tells_nothing(
    partitions: list[tuple[int, set[int], int, int]],
) -> None:
    spans = {number: (low, high) for number, (_, _, low, high) in enumerate(partitions)}

    assert KnownLag().look(5, spans, {}) is None


@given(counts, counts, st.none() | counts, st.none() | st.floats(0, 1e6))
def test_it_refuses_exactly_beyond_a_bound(
    depth: int, late: int, depth_max: int | None, per_s: float | None
) -> None:
    bounds = QueueBounds(None if depth_max is None else depth_max + 1, 60_000)

    over = judge(bounds, QueueLook(0, depth, {}, late), per_s)

    is_deep = bounds.depth_max is not None and depth >= bounds.depth_max
    assert (over is not None) == (is_deep or late > 0)
    if over is not None:
        assert over.depth == depth
        assert RETRY_MS_MIN <= over.retry_ms <= RETRY_MS_MAX


@given(counts, counts, st.floats(0.001, 1e6))
def test_more_work_never_means_an_earlier_repeat(some: int, more: int, per_s: float) -> None:
    assert retry_ms(some, per_s) <= retry_ms(some + more, per_s)


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 500)), min_size=2, max_size=80))
def test_the_pace_of_a_queue_that_drains_evenly_is_known(steps: list[tuple[int, int]]) -> None:
    pace, at_ms, told = Pace(), 0, None
    for step_ms, _ in steps:
        at_ms += step_ms
        told = pace.take(QueueLook(at_ms, 0, {0: at_ms * 2}))

    # Two jobs a millisecond, whatever the looks' distances.
    assert told is None or abs(told - 2_000) < 1e-6
    assert (told is None) == (at_ms - steps[0][0] < 500)


@given(st.lists(st.integers(0, 100), max_size=20))
def test_a_watermark_that_was_taken_back_is_no_work_undone(finished: list[int]) -> None:
    pace = Pace()
    for number, count in enumerate(finished):
        told = pace.take(QueueLook(number * 1_000, 0, {0: count}))
        assert told is None or told >= 0


@given(st.sets(st.integers(0, 30)), st.integers(0, 30), st.integers(0, 30))
def test_unfinished_counts_offsets_outside_all_ranges(
    finished: set[int], start: int, stop: int
) -> None:
    assert unfinished(start, stop, ranges(finished)) == len(set(range(start, stop)) - finished)


def test_a_late_mirror_takes_nothing_back_but_a_reset_does() -> None:
    lag, spans = KnownLag(), {0: (0, 10)}

    def depth(told: Mirror) -> int:
        lag.take(told)
        look = lag.look(0, spans, {})
        assert look is not None
        return look.depth

    assert depth(mirror(0, 8, set(), at=1)) == 2
    assert depth(mirror(0, 3, set(), at=2)) == 2
    assert depth(mirror(0, 3, set(), at=3, unclean=-1)) == 7
    assert depth(mirror(0, 1, set(), at=4, topic_id="anew")) == 9
    assert depth(mirror(0, 9, set(), at=3)) == 9


def test_a_place_beyond_the_logs_end_tells_nothing() -> None:
    lag = KnownLag()
    lag.take(mirror(0, 11, set()))

    assert lag.look(0, {0: (0, 10)}, {}) is None
