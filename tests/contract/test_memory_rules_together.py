"""What two rules on one job type mean together, as the page about that says."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from jobstream import App, Backoff, Context, Debounce, Limit, Snooze, Unique
from jobstream.testing import MemoryBroker, VirtualClock, memory

if TYPE_CHECKING:
    from collections.abc import Mapping

SOON = "4m"
MINUTE = "1m"


@dataclass(frozen=True)
class Call:
    tenant: str = "a"
    number: int = 0


def test_a_rate_is_promised_before_tenants_take_turns() -> None:
    app, ran = App("shop"), list[str]()

    @app.job(
        queue=app.queue("calls", partitions=1),
        limits=[Limit(rate="10/s")],
        fair_by="tenant",
    )
    async def call(args: Call) -> None:
        ran.append(args.tenant)

    with memory(app) as jobs:
        call.enqueue_many([Call("loud", n) for n in range(50)])
        call.enqueue(Call("quiet"))
        jobs.run_until_idle()

    assert ran.index("quiet") == 50


def test_a_rate_per_tenant_lets_a_quiet_one_go_at_once() -> None:
    app, ran = App("shop"), list[str]()

    @app.job(
        queue=app.queue("calls", partitions=1),
        limits=[Limit(rate="10/s", per="tenant")],
        fair_by="tenant",
    )
    async def call(args: Call) -> None:
        ran.append(args.tenant)

    with memory(app) as jobs:
        call.enqueue_many([Call("loud", n) for n in range(50)])
        call.enqueue(Call("quiet"))
        jobs.run_until_idle()

    assert ran.index("quiet") <= 2


def test_each_tick_is_a_job_of_its_own_where_unique_says_within() -> None:
    app, ran = App("shop", size="small"), list[bool]()

    @app.every("5m")
    @app.job(unique=Unique(by="tenant", within="1h"))
    async def call(_args: Call, ctx: Context) -> None:
        ran.append(ctx.scheduled_for is not None)

    with memory(app, MemoryBroker(VirtualClock())) as jobs:
        jobs.run_for("12m")
        first, second = call.enqueue(Call()), call.enqueue(Call())
        jobs.run_for("10m")

    assert first.job_id == second.job_id
    assert ran.count(False) == 1
    assert ran.count(True) == 4


@pytest.mark.parametrize(
    "rule",
    [
        {"unique": Unique(by="tenant", on_conflict="keep_latest")},
        {"debounce": Debounce(by="tenant", wait="5s")},
    ],
)
def test_a_cancel_of_the_newest_does_not_bring_back_the_one_it_replaced(
    rule: Mapping[str, Any],
) -> None:
    app, ran = App("shop", size="small"), list[int]()

    @app.job(**rule)
    async def call(args: Call, ctx: Context) -> None:
        ran.append(args.number)
        if args.number == 0 and ctx.seq < 3:
            raise Snooze(MINUTE)

    with memory(app) as jobs:
        call.enqueue(Call())
        jobs.run_for("10s")
        before = call.enqueue(Call(number=1))
        jobs.run_for("3s")
        newest = call.enqueue(Call(number=2))
        jobs.run_for("3s")
        app.control.cancel(newest.job_id)
        jobs.run_until_idle()
        found = [jobs.seen(each)[0].state for each in (before, newest)]

    assert found == ["duplicate", "cancelled"]
    assert set(ran) == {0}


def test_a_tick_whose_unique_key_is_held_is_a_duplicate() -> None:
    app, began = App("shop", size="small"), list[str]()

    @app.every("5m", overlap="allow")
    @app.job(unique=Unique(by="tenant"))
    async def call(_args: Call, ctx: Context) -> None:
        if ctx.seq == 0:
            began.append(ctx.job_id)
        if ctx.seq < 2:
            raise Snooze(SOON)

    with memory(app) as jobs:
        jobs.run_for("31m")
        states = [seen.state for seen in jobs.seen(call)]

    assert states[:4] == ["done", "duplicate", "done", "duplicate"]
    assert 3 <= len(began) <= 4


def test_every_attempt_of_a_held_key_takes_a_start_of_the_rate() -> None:
    app, began = App("shop"), list[tuple[int, int]]()

    @app.job(
        queue=app.queue("calls", partitions=1),
        on_failure="hold_key",
        order_by="tenant",
        retry=Backoff(attempts=3, first="100ms", factor=1),
        limits=[Limit(rate="1/2s", per="tenant")],
    )
    async def call(args: Call, ctx: Context) -> None:
        began.append((jobs.clock.broker_ms(), args.number))
        if args.number == 0 and ctx.attempt < 3:
            raise ConnectionError

    with memory(app) as jobs:
        call.enqueue_many([Call(number=n) for n in range(2)])
        jobs.run_until_idle()

    times = [at for at, _ in began]
    assert [number for _, number in began] == [0, 0, 0, 1]
    assert all(b - a >= 2_000 for a, b in pairwise(times))


def test_a_duplicate_holds_no_order_key_and_takes_no_start() -> None:
    app, ran = App("shop"), list[tuple[int, int]]()

    @app.job(
        queue=app.queue("calls", partitions=1),
        order_by="tenant",
        unique=Unique(by=("tenant", "number")),
        limits=[Limit(rate="1/2s", per="tenant")],
    )
    async def call(args: Call) -> None:
        ran.append((jobs.clock.broker_ms(), args.number))

    with memory(app) as jobs:
        call.enqueue_many([Call(number=0), *[Call(number=1) for _ in range(20)], Call(number=2)])
        jobs.run_until_idle()

    assert [number for _, number in ran] == [0, 1, 2]
    assert ran[-1][0] - ran[0][0] <= 6_000
