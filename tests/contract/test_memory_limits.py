"""Limits of job types, on the in-memory broker with a virtual clock."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobstream import App, ConfigError, Context, Job, Limit, RetryAfter, Unique
from jobstream.testing import MemoryJobs, memory
from jobstream.topics.names import worker_group

TROUBLES = ("restart", "rebalance", "lose", "expire")


@dataclass(frozen=True)
class Call:
    customer: str
    number: int = 0


Starts = dict[str, list[int]]


class Shop:
    """An app whose one job notes when it starts, for each customer."""

    def __init__(self, *limits: Limit, partitions: int = 4, retry_ms: int = 0) -> None:
        self.app = App("shop")
        queue = self.app.queue("calls", partitions=partitions)
        self.starts: Starts = defaultdict(list)
        self.order: dict[str, list[int]] = defaultdict(list)
        self.jobs: MemoryJobs | None = None
        self.refused: set[str] = set()

        @self.app.job(queue=queue, limits=limits)
        async def call(args: Call) -> None:
            assert self.jobs is not None
            self.starts[args.customer].append(self.jobs.clock.broker_ms())
            self.order[args.customer].append(args.number)
            if args.customer in self.refused:
                self.refused.discard(args.customer)
                raise RetryAfter(retry_ms / 1_000, "busy", limit=True)

        self.call: Job[Call, object] = call


def within(starts: list[int], count: int, period_ms: int, burst: int) -> bool:
    """Whether each window of starts holds at most the burst and what the rate lets through."""
    times = sorted(starts)
    return all(
        (last - first + 1) * period_ms <= burst * period_ms + (times[last] - times[first]) * count
        for first in range(len(times))
        for last in range(first, len(times))
    )


def test_a_rate_per_key_holds_for_each_key_alone_and_serves_first_come_first() -> None:
    shop = Shop(Limit(rate="100/m", per="customer"))
    with memory(shop.app) as shop.jobs:
        shop.call.enqueue_many([Call(name, n) for n in range(40) for name in ("a", "b")])
        began = shop.jobs.clock.broker_ms()
        shop.jobs.run_until_idle()
        shop.jobs.assert_done(shop.call)

    for name in ("a", "b"):
        assert within(shop.starts[name], 100, 60_000, 1)
        assert max(shop.starts[name]) - began <= 39 * 600 + 1_500
        assert shop.order[name] == list(range(40))


def test_a_job_that_waits_takes_its_start_at_once_and_waits_once() -> None:
    app, waits = App("shop"), dict[int, int]()

    @app.job(queue=app.queue("calls", partitions=1), limits=[Limit(rate="6/m", per="customer")])
    async def call(args: Call, ctx: Context) -> None:
        waits[args.number] = ctx.seq

    with memory(app) as jobs:
        call.enqueue_many([Call("a", n) for n in range(10)])
        jobs.run_until_idle()

    # Each copy of a job on the delay ladder counts one more.
    assert list(waits.items()) == [(0, 0), *((number, 1) for number in range(1, 10))]


def test_a_burst_starts_at_once() -> None:
    shop = Shop(Limit(rate="10/m", per="customer", burst=5))
    with memory(shop.app) as shop.jobs:
        shop.call.enqueue_many([Call("a", n) for n in range(8)])
        shop.jobs.run_until_idle()

    starts = shop.starts["a"]
    assert starts[4] - starts[0] < 100
    assert starts[7] - starts[0] >= 18_000
    assert within(starts, 10, 60_000, 5)


def test_a_rate_over_the_cluster_is_shared_by_the_partitions() -> None:
    shop = Shop(Limit(rate="20/s"))
    with memory(shop.app) as shop.jobs:
        shop.call.enqueue_many([Call(str(n)) for n in range(100)])
        shop.jobs.run_until_idle()
        shop.jobs.assert_done(shop.call)

    starts = [each for times in shop.starts.values() for each in times]
    assert len(starts) == 100
    assert within(starts, 20, 1_000, 4)


def test_a_clean_leave_hands_on_what_is_used_up_and_what_was_promised() -> None:
    shop = Shop(Limit(rate="6/h", per="customer"))
    with memory(shop.app) as shop.jobs:
        shop.call.enqueue_many([Call("a", n) for n in range(6)])
        for _ in range(7):
            shop.jobs.run_for("9m")
            shop.jobs.restart()
        shop.jobs.run_until_idle()
        shop.jobs.assert_done(shop.call)

    assert within(shop.starts["a"], 6, 3_600_000, 1)
    assert shop.order["a"] == list(range(6))
    assert max(shop.starts["a"]) - min(shop.starts["a"]) <= 5 * 600_000 + 5_000


def test_a_key_that_was_not_limited_before_is_not_held_up_by_a_restart() -> None:
    shop = Shop(Limit(rate="6/h", per="customer"))
    with memory(shop.app) as shop.jobs:
        shop.call.enqueue(Call("a"))
        shop.jobs.run_until_idle()
        shop.jobs.restart()
        began = shop.jobs.clock.broker_ms()
        shop.call.enqueue(Call("b"))
        shop.jobs.run_until_idle()

    assert shop.starts["b"][0] - began <= 1_100


def test_a_429_slows_its_key_down_and_uses_no_attempt() -> None:
    shop = Shop(Limit(rate="100/s", per="customer"), retry_ms=30_000)
    shop.refused = {"a"}
    with memory(shop.app) as shop.jobs:
        shop.call.enqueue(Call("a", 0))
        shop.jobs.run_for("1s")
        shop.call.enqueue_many([Call(name, n) for n in (1, 2) for name in ("a", "b")])
        shop.jobs.run_until_idle()
        shop.jobs.assert_done(shop.call)

    first, *others = shop.starts["a"]
    assert len(others) == 3
    assert min(others) - first >= 30_000
    assert within(others, 100, 1_000, 1)
    assert max(shop.starts["b"]) - first < 2_000


def test_a_429_slows_its_key_down_under_a_new_owner_at_another_rate() -> None:
    shop = Shop(Limit(rate="100/s", per="customer"), retry_ms=300_000)
    shop.refused = {"a"}
    with memory(shop.app) as shop.jobs:
        shop.call.enqueue(Call("a", 0))
        shop.jobs.run_for("1s")
        shop.app.control.limit("call/rate/customer").set(rate="10/s", why="they say 429")
        shop.jobs.run_for("3s")
        shop.jobs.restart()
        shop.call.enqueue_many([Call("a", n) for n in (1, 2)])
        shop.jobs.run_until_idle()
        shop.jobs.assert_done(shop.call)

    first, *others = shop.starts["a"]
    assert len(others) == 3
    assert min(others) - first >= 300_000
    assert within(others, 10, 1_000, 1)


def test_jobs_of_before_the_limit_share_one_key() -> None:
    app = App("shop")
    queue = app.queue("calls", partitions=1)
    plain = app.declare("call", Call, queue=queue)
    shop = Shop(Limit(rate="10/s", per="customer"), partitions=1)
    with memory(app) as before:
        plain.enqueue_many([Call(str(n)) for n in range(5)])
        broker = before.broker
    with memory(shop.app, broker) as shop.jobs:
        shop.jobs.run_until_idle()
        shop.jobs.assert_done(shop.call)
    assert within([each for times in shop.starts.values() for each in times], 10, 1_000, 1)


def test_operators_change_a_limit_and_a_deploy_leaves_that() -> None:
    shop = Shop(Limit(rate="100/m", per="customer"), Limit(concurrency=9))
    with memory(shop.app) as shop.jobs:
        control = shop.app.control.limit("call/rate/customer")
        entry = control.set(rate="1/m", why="they asked", for_="10m")
        assert (entry.kind, entry.limits) == ("set_limit", {"starts": 1, "period_ms": 60_000})
        shop.call.enqueue_many([Call("a", n) for n in range(5)])
        shop.jobs.run_for("1m")
        shop.jobs.restart()
        shop.jobs.run_for("1m")
        assert within(shop.starts["a"], 1, 60_000, 1)
        assert len(shop.starts["a"]) == 3
        control.release()
        shop.call.enqueue_many([Call("b", n) for n in range(5)])
        shop.jobs.run_until_idle()
        shop.jobs.assert_done(shop.call)
    assert max(shop.starts["b"]) - min(shop.starts["b"]) <= 5_000


def test_a_lowered_rate_that_is_released_does_not_hold_up_what_comes_after() -> None:
    shop = Shop(Limit(rate="10/s", per="customer"))
    with memory(shop.app) as shop.jobs:
        control = shop.app.control.limit("call/rate/customer")
        control.set(rate="1/h", why="a typing error")
        shop.jobs.run_for("3s")
        shop.call.enqueue_many([Call("a", n) for n in range(5)])
        shop.jobs.run_for("3s")
        control.release()
        shop.jobs.run_for("3s")
        before = len(shop.starts["a"])
        shop.call.enqueue_many([Call("a", n) for n in range(10, 15)])
        shop.jobs.run_for("5s")
        assert len(shop.starts["a"]) == before + 5


def test_a_lowered_rate_that_is_released_does_not_hold_up_a_new_owner() -> None:
    shop = Shop(Limit(rate="10/s", per="customer"))
    with memory(shop.app) as shop.jobs:
        control = shop.app.control.limit("call/rate/customer")
        shop.call.enqueue(Call("a"))
        shop.jobs.run_for("1s")
        control.set(rate="1/h", why="a typing error")
        shop.jobs.run_for("3s")
        shop.call.enqueue_many([Call("a", n) for n in range(5)])
        shop.jobs.run_for("5s")
        control.release()
        shop.jobs.run_for("1s")
        before = len(shop.starts["a"])
        shop.jobs.restart()
        shop.call.enqueue_many([Call("a", n) for n in range(10, 15)])
        shop.jobs.run_for("5s")
        assert len(shop.starts["a"]) == before + 5


def test_a_limit_by_a_name_or_with_numbers_that_it_lacks_is_refused() -> None:
    shop = Shop(Limit(rate="100/m", per="customer"), Limit(rate="9/s", per="customer"))
    with memory(shop.app):
        with pytest.raises(ConfigError, match=r"no limit 'call/rate'.*call/rate/customer#2"):
            shop.app.control.limit("call/rate")
        control = shop.app.control.limit("call/rate/customer#2")
        with pytest.raises(ConfigError, match=r"concurrency= is no number of it.*give rate="):
            control.set(concurrency=5)
        with pytest.raises(ConfigError, match=r"rate=0 is outside"):
            control.set(rate="0/s")
        with pytest.raises(
            ConfigError, match=r"rate='1/5d' .*dedup window of its queue, 1d: raise"
        ):
            control.set(rate="1/5d")
        with pytest.raises(ConfigError, match=r"rate='10/d' must be remembered for longer"):
            control.set(rate="10/d", burst=11)
        assert shop.app.control.entries() == []


def test_a_limit_holds_beside_uniqueness_and_fairness() -> None:
    app = App("shop")
    starts: dict[str, list[int]] = defaultdict(list)

    @app.job(
        queue=app.queue("calls", partitions=2),
        unique=Unique(by=("customer", "number"), until="start"),
        limits=[Limit(rate="10/s", per="customer"), Limit(concurrency=4)],
        fair_by="customer",
    )
    async def call(args: Call) -> None:
        starts[args.customer].append(jobs.clock.broker_ms())

    with memory(app) as jobs:
        call.enqueue_many([Call("loud", n) for n in range(300)])
        call.enqueue_many([Call(f"quiet-{n}", n) for n in range(20)])
        jobs.run_until_idle()
        jobs.assert_done(call)

    assert len(starts["loud"]) == 300
    assert within(starts["loud"], 10, 1_000, 1)
    assert max(starts["loud"]) - min(starts["loud"]) <= 45_000


@pytest.mark.parametrize("rate", ["1/2d", "100/9d"])
def test_a_rate_that_outlives_the_dedup_window_is_refused(rate: str) -> None:
    with pytest.raises(ConfigError, match=r"dedup window of its queue, 1d: raise .*dedup="):
        Shop(Limit(rate=rate, per="customer", burst=50))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4_000), st.sampled_from(TROUBLES)), max_size=8))
def test_no_rate_is_passed_whatever_happens_to_its_owner(steps: list[tuple[int, str]]) -> None:
    shop = Shop(Limit(rate="3/s", burst=2, per="customer"), Limit(rate="20/s"), partitions=2)
    group = worker_group("shop")
    with memory(shop.app) as shop.jobs:
        shop.call.enqueue_many([Call(name, n) for n in range(25) for name in ("a", "b", "c")])
        for wait_ms, trouble in steps:
            shop.jobs.run_for(wait_ms / 1_000)
            broker = shop.jobs.broker
            if trouble == "restart":
                shop.jobs.restart()
            elif trouble == "rebalance":
                broker.rebalance()
            elif trouble == "lose":
                for place, member in broker.owners(group).items():
                    broker.lose(member, [place])
            else:
                for member in set(broker.owners(group).values()):
                    broker.expire(member)
        shop.jobs.run_until_idle()
        shop.jobs.assert_done(shop.call)

    for times in shop.starts.values():
        assert within(times, 3, 1_000, 2)
    assert within([each for times in shop.starts.values() for each in times], 20, 1_000, 2)
