"""Slots that tenants share, on a clock of its own: how long few jobs wait for many of another."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobstream_processors.core.fair_pool import KEPT_MAX, FairPool, Wish
from jobstream_processors.core.verdict import MOMENT_MS

READ_MS = 0.1
"""Reading a job and sending it on takes a process about so long."""


class World:
    """One partition, its slots, and the ladder: jobs are (number, tenant)."""

    def __init__(self, slots: int, took_ms: dict[str, float]) -> None:
        self.pool: FairPool[int] = FairPool(slots)
        self.took_ms = took_ms
        self.now_ms = 1_000.0
        self.log: deque[tuple[int, str]] = deque()
        self.events: list[tuple[float, int, str, tuple[int, str]]] = []
        self.order = count()
        self.numbers = count()
        self.slots = slots
        self.handed: deque[tuple[int, str]] = deque()
        self.running = 0
        self.came_ms: dict[int, float] = {}
        self.began_ms: dict[int, float] = {}
        self.names: dict[int, str] = {}
        self.hops: dict[int, int] = {}
        self.most = 0

    def send(self, tenant: str, jobs: int) -> list[int]:
        made = []
        for _ in range(jobs):
            number = next(self.numbers)
            self.log.append((number, tenant))
            self.came_ms[number] = self.now_ms
            self.names[number] = tenant
            made.append(number)
        return made

    def run(self, until_ms: float) -> None:
        """Read a job, or let time go on to what comes next."""
        while self.now_ms < until_ms and (self.log or self.events):
            if self.log:
                self.now_ms += READ_MS
                self._ask(self.log.popleft(), back=False)
            elif self.events:
                self.now_ms = max(self.now_ms, self.events[0][0])
            while self.events and self.events[0][0] <= self.now_ms:
                _, _, what, job = heapq.heappop(self.events)
                if what == "back":
                    self.now_ms += READ_MS
                    self._ask(job, back=True)
                else:
                    self.running -= 1
                    self.pool.ended(job[0], self.now_ms)
            for number in self.pool.release(self.now_ms):
                self._ask((number, self.names[number]), back=False)
            self._fill()

    def _ask(self, job: tuple[int, str], *, back: bool) -> None:
        number, tenant = job
        wait_ms = self.pool.ask(number, Wish(tenant, 1, "p", 100, back), self.now_ms)
        self.most = max(self.most, len(self.pool))
        if wait_ms is None:
            self.pool.began(number, Wish(tenant, 1, "p", 100), self.now_ms)
            self.handed.append(job)
        elif wait_ms > MOMENT_MS:
            self.hops[number] = self.hops.get(number, 0) + 1
            heapq.heappush(self.events, (self.now_ms + wait_ms, next(self.order), "back", job))

    def _fill(self) -> None:
        while self.handed and self.running < self.slots:
            job = self.handed.popleft()
            self.running += 1
            self.began_ms[job[0]] = self.now_ms
            ends_ms = self.now_ms + self.took_ms[job[1]]
            heapq.heappush(self.events, (ends_ms, next(self.order), "end", job))


@pytest.mark.parametrize("took_ms", [5.0, 100.0, 1_000.0])
def test_a_tenant_with_very_many_jobs_delays_anothers_first_by_what_it_takes_to_read_them(
    took_ms: float,
) -> None:
    many = 60_000
    world = World(20, {"loud": took_ms, "quiet": took_ms})
    world.send("loud", many)
    (first,) = world.send("quiet", 1)

    world.run(60_000)

    waited_ms = world.began_ms[first] - world.came_ms[first]
    # Jobs that come back are read, too. Then a job of the other stands before it, and what runs.
    ends_ms = took_ms / 20 * 22 + 2 * took_ms
    assert waited_ms <= many * READ_MS * 1.6 + ends_ms
    # Alone it would have waited for all of them: 15 s to 50 min.
    assert waited_ms < many * took_ms / 20
    assert world.most <= 2 * KEPT_MAX


def test_slots_are_never_idle_and_every_job_runs_once_with_few_hops() -> None:
    world = World(20, {"loud": 10.0})
    world.send("loud", 30_000)

    world.run(10_000_000)

    assert len(world.began_ms) == 30_000
    took_ms = max(world.began_ms.values()) - 1_000
    assert took_ms <= 1.25 * 30_000 * 10 / 20
    assert sum(world.hops.values()) <= 3 * 30_000
    assert max(world.hops.values()) <= 8
    assert not world.pool


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 400)), min_size=1, max_size=6),
    st.integers(1, 30),
    st.tuples(*[st.floats(0.1, 200)] * 3),
)
def test_whatever_comes_all_of_it_runs_once(
    sent: list[tuple[str, int]], slots: int, took: tuple[float, float, float]
) -> None:
    world = World(slots, dict(zip("abc", took, strict=True)))
    for tenant, jobs in sent:
        world.send(tenant, jobs)

    world.run(10_000_000)
    world.pool.release(100_000_000)

    assert len(world.began_ms) == sum(jobs for _, jobs in sent)
    assert (len(world.pool), world.pool.tenants) == (0, 0)


def test_tenants_share_the_slots_by_their_weights() -> None:
    pool: FairPool[tuple[str, int]] = FairPool(10)
    wishes = {"one": Wish("one", 1, "p", 1), "four": Wish("four", 4, "p", 1)}
    begun: list[tuple[str, int]] = []
    for number in range(1_000):
        for name, wish in wishes.items():
            if pool.ask((name, number), wish, 0) is None:
                pool.began((name, number), wish, 0)
                begun.append((name, number))

    total = dict.fromkeys(wishes, 0)
    for turn in range(1, 60):
        for item in begun:
            pool.ended(item, turn * 100)
        begun = pool.release(turn * 100)
        for item in begun:
            pool.began(item, wishes[item[0]], turn * 100)
            total[item[0]] += 1

    assert total["four"] / total["one"] == pytest.approx(4, rel=0.1)


def test_what_a_lost_partition_had_stands_in_nobodys_way() -> None:
    pool: FairPool[int] = FairPool(2)
    here, gone = Wish("a", 1, "here", 100), Wish("a", 1, "gone", 100)
    number = 0
    while pool.ask(number, gone, 0) is None:
        pool.began(number, gone, 0)
        number += 1
    pool.ask(-1, here, 0)
    assert len(pool) == 2
    assert pool.release(500) == []

    pool.forget("gone")

    assert (len(pool), pool.release(500)) == (1, [-1])
    pool.drop(-1)
    pool.release(10_000)
    assert pool.tenants == 0
