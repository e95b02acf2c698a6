"""Slots of one executor, shared by queues whose jobs take any time, on a virtual clock."""

from __future__ import annotations

import heapq
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobstream.testing import MemoryShard
from jobstream_processors.assignment.lane import Arrival, Lane
from jobstream_processors.core.outcome import DONE
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.delivery import Delivery
from jobstream_processors.execute.by_weight import ByWeight


class Slots:
    """An executor that runs jobs of the queues for as long as `times_s` says."""

    def __init__(self, slots: int, weights: list[int], times_s: list[tuple[float, float]]) -> None:
        self.now_s = 100.0
        self.slots = slots
        names = [f"q{number}" for number in range(len(weights))]
        self.line = ByWeight(dict(zip(names, weights, strict=True)), lambda: self.now_s)
        self.ended, _ = self.line.ear(lambda *_: None, lambda _: None, self.running)
        arrivals = [Arrival(name, (name, 0), 1, 10) for name in names]
        self.lanes = [Lane(arrival, MemoryShard(), Watermark(0)) for arrival in arrivals]
        self.times_s, self.random = times_s, Random(7)
        self.runs: list[tuple[float, int, int, Delivery]] = []
        self.used_s = [0.0] * len(weights)
        self.started_s = [100.0] * len(weights)
        """When each queue had its last start."""
        self.gaps_s = [0.0] * len(weights)
        """The longest time between two starts of each queue."""
        self._numbers = count()

    def running(self) -> list[tuple[Delivery, float]]:
        """What has a slot, and since when."""
        return [(delivery, delivery.began) for _, _, _, delivery in self.runs]

    def add(self, queue: int, jobs: int) -> None:
        for _ in range(jobs):
            self.line.append(Delivery(self.lanes[queue], next(self._numbers), b"", None))

    def fill(self) -> None:
        while self.line and len(self.runs) < self.slots:
            delivery = self.line.popleft()
            delivery.begins(self.now_s)
            queue = self.lanes.index(delivery.lane)
            self.gaps_s[queue] = max(self.gaps_s[queue], self.now_s - self.started_s[queue])
            self.started_s[queue] = self.now_s
            took_s = self.random.uniform(*self.times_s[queue])
            heapq.heappush(self.runs, (self.now_s + took_s, delivery.offset, queue, delivery))
            self.used_s[queue] += took_s

    def run(self, seconds: float) -> None:
        """So long; each run that ends makes room for the next."""
        until_s = self.now_s + seconds
        self.fill()
        while self.runs and self.runs[0][0] <= until_s:
            self.now_s, _, queue, delivery = heapq.heappop(self.runs)
            self.ended(delivery, DONE)
            self.add(queue, 1)
            self.fill()


@pytest.mark.parametrize(
    "times_s",
    [
        pytest.param([(0.1, 0.1)] * 3, id="alike"),
        pytest.param([(0.01, 0.09), (0.1, 0.3), (1.0, 3.0)], id="the_less_urgent_the_longer"),
        pytest.param([(1.0, 3.0), (0.1, 0.3), (0.01, 0.09)], id="the_more_urgent_the_longer"),
    ],
)
@pytest.mark.parametrize("slots", [1, 4, 50])
def test_queues_with_work_share_the_time_of_the_slots_by_weight(
    slots: int, times_s: list[tuple[float, float]]
) -> None:
    at = Slots(slots, [8, 3, 1], times_s)
    for queue in range(3):
        at.add(queue, slots + 1)

    at.run(6_000 / (slots + 10))

    whole = sum(at.used_s)
    shares = [used_s / whole for used_s in at.used_s]
    assert shares == pytest.approx([8 / 12, 3 / 12, 1 / 12], abs=0.03)


@settings(max_examples=40)
@given(
    slots=st.integers(1, 20),
    weights=st.lists(st.integers(1, 20), min_size=2, max_size=4),
    times=st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), min_size=4, max_size=4),
    early=st.integers(0, 3),
)
def test_no_queue_with_work_waits_longer_than_is_stated(
    slots: int, weights: list[int], times: list[tuple[float, float]], early: int
) -> None:
    """Even if its own jobs had all the slots just before: what docs/how-to/priorities.md states."""
    at = Slots(slots, weights, times[: len(weights)])
    early %= len(weights)
    at.add(early, slots + 1)
    at.run(0.5)
    at.started_s = [at.now_s] * len(weights)
    for queue in {*range(len(weights))} - {early}:
        at.add(queue, slots + 1)

    at.run(20)

    longest_s = [max(pair) for pair in at.times_s]
    for queue, gap_s in enumerate(at.gaps_s):
        others = sum(weights) - weights[queue]
        bound_s = longest_s[queue] * others / weights[queue] + 2 * max(longest_s)
        assert gap_s <= bound_s + sum(longest_s) / slots


def test_the_share_of_an_idle_queue_goes_to_the_others() -> None:
    at = Slots(10, [8, 1], [(0.1, 0.1), (0.1, 0.1)])
    at.add(1, 11)

    at.run(10)

    assert at.used_s[1] == pytest.approx(10 * 10, rel=0.05)
    # What it used meanwhile is not held against it, but for what it has not given back yet.
    at.add(0, 11)
    before = at.started_s[1]
    at.run(2)
    assert at.started_s[1] > before


def test_long_jobs_of_a_light_queue_do_not_come_to_hold_every_slot() -> None:
    """As they would if starts were counted: each takes a slot for a thousand of the others'."""
    at = Slots(20, [8, 1], [(0.05, 0.05), (60.0, 60.0)])
    at.add(0, 100)
    at.add(1, 100)

    at.run(300)

    held = [sum(run[2] == queue for run in at.runs) for queue in (0, 1)]
    assert held[0] >= 16


def test_a_run_that_hangs_costs_its_queue_one_slot_and_no_more_of_its_share() -> None:
    """It says nothing of how long those run that end beside it."""
    at = Slots(10, [1, 1], [(10_000.0, 10_000.0), (0.01, 0.01)])
    at.add(0, 1)
    at.fill()
    at.times_s[0] = (0.01, 0.01)
    at.add(0, 11)
    at.run(60)
    at.used_s = [0.0, 0.0]

    at.add(1, 11)
    at.run(8)

    assert at.used_s == pytest.approx([8 * 4, 8 * 5], rel=0.05)
