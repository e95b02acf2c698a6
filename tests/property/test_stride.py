"""Each line gets its share of the time, waits no longer than is stated, and earns nothing idle."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobstream_processors.core.stride import WEIGHT_MAX, Stride, check_weight
from jobstream_processors.errors import InvalidOption


def run(stride: Stride, line: int, cost: int) -> None:
    """Something of the line starts and ends, and costs what was expected."""
    stride.start(line, cost)
    stride.count(line, cost, of_guess=cost)


WEIGHTS = st.lists(st.integers(1, WEIGHT_MAX), min_size=2, max_size=5)
COSTS = st.integers(1, 1_000)


@given(WEIGHTS, st.data())
def test_lines_that_always_have_work_start_in_the_ratio_of_their_weights(
    weights: list[int], data: st.DataObject
) -> None:
    stride, lines = Stride(weights), range(len(weights))
    costs = [data.draw(COSTS) for _ in lines]
    used = [0] * len(weights)
    for line in lines:
        stride.enter(line, range(line))

    for _ in range(300):
        line = stride.next(lines)
        run(stride, line, costs[line])
        used[line] += costs[line]

        # Neither is ahead by more than a job of each. Where all cost the same: by one slot.
        for one in lines:
            for other in lines:
                ahead = used[one] / weights[one] - used[other] / weights[other]
                assert ahead <= costs[one] / weights[one] + costs[other] / weights[other] + 1e-9


@given(WEIGHTS, st.lists(st.tuples(st.integers(0, 4), COSTS, st.booleans()), max_size=300))
def test_a_line_with_work_waits_while_each_other_uses_its_share_and_one_job(
    weights: list[int], steps: list[tuple[int, int, bool]]
) -> None:
    """Whatever comes and goes meanwhile."""
    stride, has_work = Stride(weights), set[int]()
    last = [0] * len(weights)
    """What the last job of each line cost."""
    longest = 0
    others = [[0] * len(weights) for _ in weights]
    """For each line with work: what each other has used since its last start, or since it came."""

    for drawn, cost, leaves in steps:
        number = drawn % len(weights)
        if number not in has_work:
            stride.enter(number, has_work)
            has_work.add(number)
            others[number] = [0] * len(weights)
        line = stride.next(has_work)
        run(stride, line, cost)
        last[line], longest = cost, max(longest, cost)
        others[line] = [0] * len(weights)
        for waiting in has_work - {line}:
            others[waiting][line] += cost
            share = last[waiting] * weights[line] / weights[waiting]
            assert others[waiting][line] <= share + longest
        if leaves:
            has_work.discard(line)


@given(WEIGHTS, st.integers(1, 500))
def test_what_was_used_while_no_other_had_work_is_not_held_against_a_line(
    weights: list[int], alone: int
) -> None:
    stride = Stride(weights)
    stride.enter(0, ())
    for _ in range(alone):
        run(stride, stride.next([0]), 1_000)

    stride.enter(1, [0])
    first = [stride.next([0, 1])]
    run(stride, first[0], 1)
    first.append(stride.next([0, 1]))

    assert set(first) == {0, 1}


def test_an_idle_line_earns_nothing() -> None:
    stride = Stride([1, 1])
    for line in (0, 1):
        stride.enter(line, range(line))
    for _ in range(100):
        run(stride, stride.next([0]), 10)

    stride.enter(1, [0])
    starts = []
    for _ in range(6):
        starts.append(stride.next([0, 1]))
        run(stride, starts[-1], 10)

    assert sorted(starts) == [0, 0, 0, 1, 1, 1]


def test_what_a_run_did_cost_is_counted_and_no_correction_gives_credit() -> None:
    stride = Stride([1, 1])
    for line in (0, 1):
        stride.enter(line, range(line))
    stride.start(0, 10)
    stride.count(0, 100, of_guess=10)
    for _ in range(10):
        assert stride.next([0, 1]) == 1
        run(stride, 1, 10)

    stride.count(1, -1_000_000, of_guess=0)
    run(stride, 1, 10)
    # Line 1 is back where it came in, and not a million before that.
    for _ in range(9):
        assert stride.next([0, 1]) == 1
        run(stride, 1, 10)
    assert stride.next([0, 1]) == 0


@given(WEIGHTS, st.integers(1, 1_000_000), st.sampled_from([0, 1]))
def test_what_is_expected_of_a_start_holds_up_no_line_that_comes_before_its_end(
    weights: list[int], guess: int, comes: int
) -> None:
    """Neither another one, nor its own: if it costs nothing in the end, all begin at one place."""
    stride = Stride(weights)
    for line in (0, 1):
        stride.enter(line, range(line))
    stride.start(0, guess)
    assert stride.next([0, 1]) == 1

    stride.enter(comes, [1 - comes])
    assert stride.next([0, 1]) == 1
    stride.count(0, 0, of_guess=guess)

    first = stride.next([0, 1])
    run(stride, first, 1)
    assert stride.next([0, 1]) == 1 - first


@pytest.mark.parametrize(
    ("weight", "part"),
    [
        (0, "weight=0: give a whole number from 1 to 100"),
        (-1, "weight=-1"),
        (0.5, "weight=0.5: such a share rounds to nothing and would starve"),
        (8.0, "weight=8.0: give a whole number"),
        (101, "weight=101"),
        (True, "weight=True"),
        ("8", "weight='8'"),
    ],
)
def test_a_weight_that_starves_is_refused(weight: object, part: str) -> None:
    with pytest.raises(InvalidOption, match=re.escape(part)):
        check_weight(weight)
