"""Slots that tenants share, on a clock of its own: how long few jobs wait for many of another."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobstream_processors.core.fair_pool import KEPT_MAX, FairPool, Took, Wish
from jobstream_processors.core.verdict import MOMENT_MS

READ_MS = 0.1
"""Reading a job and sending it on takes a process about so long."""


class World:
    """One partition, its slots, and the ladder: jobs are (number, tenant)."""

    def __init__(self, slots: int, took_ms: dict[str, float], *, tells: bool = True) -> None:
        self.tells = tells
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
        self.hung_until_ms = 0.0
        """No run ends before that."""

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
                    took = Took(self.now_ms - self.began_ms[job[0]]) if self.tells else None
                    self.pool.ended(job[0], self.now_ms, took)
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
            ends_ms = max(self.now_ms + self.took_ms[job[1]], self.hung_until_ms)
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


@pytest.mark.parametrize("tells", [True, False], ids=["measured", "guessed"])
def test_slots_are_never_idle_and_every_job_runs_once_with_few_hops(*, tells: bool) -> None:
    world = World(20, {"loud": 10.0}, tells=tells)
    world.send("loud", 30_000)

    world.run(10_000_000)

    assert len(world.began_ms) == 30_000
    took_ms = max(world.began_ms.values()) - 1_000
    assert took_ms <= 1.25 * 30_000 * 10 / 20
    assert sum(world.hops.values()) <= 3 * 30_000
    assert max(world.hops.values()) <= 8
    assert not world.pool


@pytest.mark.parametrize("hung_ms", [10_000.0, 60_000.0])
def test_jobs_that_hang_for_a_while_send_none_away_for_much_longer(hung_ms: float) -> None:
    """By the pace of that while, the last ones would have their turns half an hour later."""
    world = World(20, {"loud": 10.0})
    world.send("loud", 2_000)
    world.run(100_000)
    start_ms = world.now_ms
    world.hung_until_ms = start_ms + hung_ms
    world.send("loud", 30_000)

    world.run(100_000_000)

    assert len(world.began_ms) == 32_000
    took_ms = max(world.began_ms.values()) - start_ms
    assert took_ms <= 2 * hung_ms + 2 * 30_000 * 10 / 20
    assert max(world.hops.values()) <= 6


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


def test_short_jobs_that_wait_for_a_busy_loop_are_not_sent_away() -> None:
    def wish_of(number: int) -> Wish:
        return Wish(f"t{number % 50}", 1, number % 50 % 12, 100)

    pool: FairPool[int] = FairPool(200)
    pool.partitions = 12
    now_ms, sent_away, line = 0.0, 0, list(range(20_000))
    for batch in range(0, 20_000, 2_000):
        under_way: list[int] = []
        for number in line[batch : batch + 2_000]:
            now_ms += 0.2  # It is a busy machine: what was let go waits until the batch is read.
            if number % 1_000 == 0:
                for let_go in pool.release(now_ms):  # Half as often as tells anything.
                    pool.began(let_go, wish_of(let_go), now_ms)
                    under_way.append(let_go)
            wish = wish_of(number)
            wait_ms = pool.ask(number, wish, now_ms)
            if wait_ms is None:
                pool.began(number, wish, now_ms)
                under_way.append(number)
            sent_away += wait_ms is not None and wait_ms > MOMENT_MS
        for at, number in zip(range(len(under_way), 0, -1), under_way, strict=True):
            # Now and then the thread itself had to wait.
            pool.ended(number, now_ms, Took(300.0 if at % 97 == 1 else 0.01, alone=True))

    assert sent_away == 0


def test_handlers_that_keep_the_loop_for_long_are_as_slow_as_they_are_however_many_slots() -> None:
    pool: FairPool[int] = FairPool(200)
    now_ms, wish = 0.0, Wish("a", 1, "p", 100)
    for number in range(200):
        pool.began(number, wish, now_ms)
    for number in range(200):
        now_ms += 5
        pool.ended(number, now_ms, Took(5.0, alone=True))
    waits = [pool.ask(number, wish, now_ms) for number in range(1_000, 1_000 + KEPT_MAX + 500)]

    away = [wait_ms for wait_ms in waits if wait_ms is not None and wait_ms > MOMENT_MS]
    assert len(away) >= 200
    # All that wait here go first, at five milliseconds each.
    assert away[0] == pytest.approx(0.85 * KEPT_MAX * 5, rel=0.1)


def test_tenants_of_one_partition_each_use_the_room_of_all() -> None:
    pool: FairPool[tuple[int, int]] = FairPool(2)
    for tenant in range(100):
        wish = Wish(f"t{tenant}", 1, "p", 1)
        pool.began((tenant, -1), wish, 0)
        pool.ended((tenant, -1), 0, Took(1_000.0))
    pool.partitions = 10
    away = 0
    for number in range(40):
        for tenant in range(100):
            wish = Wish(f"t{tenant}", 1, tenant % 10, 1)
            wait_ms = pool.ask((tenant, number), wish, 0)
            if wait_ms is None:
                pool.began((tenant, number), wish, 0)
            away += wait_ms is not None and wait_ms > MOMENT_MS

    assert away == 0
    assert KEPT_MAX / 2 < len(pool) <= KEPT_MAX


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
