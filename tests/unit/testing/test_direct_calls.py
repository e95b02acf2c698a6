"""A handler that a test calls directly reaches no broker: its context collects its child jobs."""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from jobstream import (
    App,
    ConfigError,
    Context,
    EnqueueError,
    Job,
    JobTooLarge,
    WrongArgs,
)
from jobstream.testing import context, memory

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_S = 60


@dataclass(frozen=True)
class Pack:
    item: str
    sizes: list[int] = field(default_factory=list)


@dataclass
class Shop:
    """Job types whose handlers enqueue in every way."""

    app: App
    pick: Job[Pack, object]
    pack: Job[Pack, object]
    apack: Job[Pack, Any]
    past: Job[Pack, object]
    apast: Job[Pack, Any]
    many: Job[Pack, object]
    pauses: Job[Pack, object]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server in the broker's place that nobody may connect to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server


@pytest.fixture
def shop(listener: socket.socket) -> Shop:
    port = listener.getsockname()[1]
    app = App("shop", bootstrap_servers=f"127.0.0.1:{port}", enqueue_timeout="1s")

    @app.job(queue=app.queue("picks", partitions=3))
    def pick(args: Pack) -> None: ...

    @app.job
    def pack(args: Pack, ctx: Context) -> None:
        sizes = [1]
        ctx.enqueue(pick, Pack(args.item, sizes), delay="5m", child_name="first")
        sizes.append(2)
        ctx.enqueue(pick, Pack(args.item), key="k")

    @app.job
    async def apack(args: Pack, ctx: Context) -> None:
        await asyncio.gather(*(ctx.aenqueue(pick, Pack(f"{args.item}{n}")) for n in range(3)))

    @app.job
    def past(args: Pack) -> None:
        pick.enqueue(args)

    @app.job
    async def apast(args: Pack) -> None:
        await pick.aenqueue(args)

    @app.job
    def many(args: Pack) -> None:
        pick.enqueue_many([args])

    @app.job
    def pauses(args: Pack) -> None:
        app.control.pause(job=args.item)

    return Shop(app, pick, pack, apack, past, apast, many, pauses)


def is_untouched(listener: socket.socket) -> bool:
    try:
        listener.accept()
    except BlockingIOError:
        return True
    return False


def test_a_context_of_the_test_collects(shop: Shop, listener: socket.socket) -> None:
    ctx = context(shop.pack)

    shop.pack(Pack("cup"), ctx)

    first, second = ctx.enqueued
    assert (first.name, first.args) == ("pick", Pack("cup", [1]))
    assert first.options == {"delay": "5m", "child_name": "first"}
    assert (second.args, second.options) == (Pack("cup"), {"key": "k"})
    assert first.id != second.id
    assert is_untouched(listener)


def test_an_async_handler_collects(shop: Shop, listener: socket.socket) -> None:
    ctx = context(shop.apack)

    asyncio.run(asyncio.wait_for(shop.apack(Pack("cup"), ctx), LIMIT_S))

    assert sorted(child.args.item for child in ctx.enqueued) == ["cup0", "cup1", "cup2"]
    assert is_untouched(listener)


def test_without_a_context_nothing_is_written_and_the_log_says_so(
    shop: Shop, listener: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "jobstream"):
        shop.pack(Pack("cup"))

    assert [record.message for record in caplog.records] == ["children_not_written"]
    assert is_untouched(listener)


def test_children_have_the_ids_of_a_real_run(shop: Shop) -> None:
    ctx = context(shop.pack, job_id="0199c7a5-0000-7000-8000-000000000001")
    again = context(shop.pack, job_id="0199c7a5-0000-7000-8000-000000000001")
    another = context(shop.pack)
    for each in (ctx, again, another):
        shop.pack(Pack("cup"), each)

    assert [c.id for c in ctx.enqueued] == [c.id for c in again.enqueued]
    assert {c.id for c in ctx.enqueued}.isdisjoint(c.id for c in another.enqueued)


def test_what_an_enqueue_refuses_is_refused(shop: Shop) -> None:
    ctx = context(shop.pack)

    with pytest.raises(WrongArgs, match=r"Pack\.item"):
        ctx.enqueue(shop.pick, Pack(7))  # type: ignore[arg-type] # what is refused
    with pytest.raises(JobTooLarge):
        ctx.enqueue(shop.pick, Pack("x" * 2_000_000))
    with pytest.raises(ConfigError, match="child_name"):
        ctx.enqueue(shop.pick, Pack("cup"), idempotency_key="k")
    with pytest.raises(ConfigError, match="give one"):
        ctx.enqueue(shop.pick, Pack("cup"), delay="5s", run_at=datetime.now(UTC))

    async def blocks() -> None:
        ctx.enqueue(shop.pick, Pack("cup"))

    with pytest.raises(EnqueueError, match=r"ctx\.aenqueue"):
        asyncio.run(blocks())
    assert ctx.enqueued == []


@pytest.mark.parametrize("way", ["past", "apast", "many", "pauses"])
def test_an_enqueue_past_the_context_is_refused(
    shop: Shop, listener: socket.socket, way: str
) -> None:
    job: Job[Pack, Any] = getattr(shop, way)

    async def called() -> None:
        await job(Pack("pick"))

    with pytest.raises(EnqueueError, match=rf"handler of '{way}' .* nothing was written") as raised:
        asyncio.run(called()) if way == "apast" else job(Pack("pick"))

    assert not raised.value.may_be_written
    assert is_untouched(listener)


def test_within_memory_all_of_it_goes_to_its_broker(shop: Shop, listener: socket.socket) -> None:
    ctx = context(shop.pack)
    with memory(shop.app) as jobs:
        shop.pack(Pack("cup"), ctx)
        shop.pack(Pack("jug"))
        shop.past(Pack("pot"))
        asyncio.run(shop.apast(Pack("tea")))
        jobs.run_until_idle()
        done = jobs.assert_done(shop.pick)

    assert sorted(job.args.item for job in done) == ["cup", "cup", "jug", "jug", "pot", "tea"]
    assert {child.id for child in ctx.enqueued} <= {job.id for job in done}
    assert is_untouched(listener)


def test_a_running_job_passes_its_own_context_on(shop: Shop) -> None:
    @shop.app.job
    def calls(args: Pack, ctx: Context) -> None:
        shop.pack(args, ctx)

    @shop.app.job
    def forgets(args: Pack) -> None:
        shop.pack(args)

    with memory(shop.app) as jobs:
        parent = calls.enqueue(Pack("cup"))
        wrong = forgets.enqueue(Pack("cup"))
        jobs.run_until_idle()
        jobs.assert_done(parent)
        jobs.assert_dead(wrong, why=r"pass that job's: pack(args, ctx)")
        jobs.assert_enqueued(shop.pick, count=2)


def test_a_context_tells_what_it_was_given(shop: Shop) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    ctx = context(
        shop.pack,
        job_id="j-1",
        attempt=3,
        redrive=1,
        enqueued_at=at,
        deadline=at + timedelta(seconds=9),
        correlation_id="r-1",
        fencing_token=7,
        is_cancelled=True,
    )

    assert (ctx.job_id, ctx.name, ctx.queue) == ("j-1", "pack", "default")
    assert (ctx.attempt, ctx.seq, ctx.redrive, ctx.fencing_token) == (3, 2, 1, 7)
    assert (ctx.enqueued_at, ctx.deadline) == (at, at + timedelta(seconds=9))
    assert (ctx.correlation_id, ctx.idempotency_key) == ("r-1", "j-1")
    assert ctx.is_cancelled
    assert ctx.logger.extra is not None
    assert ctx.logger.extra["attempt"] == 3


def test_what_is_left_out_is_now(shop: Shop) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    ctx = context(shop.pack)

    assert before <= ctx.enqueued_at <= datetime.now(UTC)
    assert ctx.deadline - ctx.enqueued_at == timedelta(seconds=30)
    assert not ctx.is_cancelled
    ctx.cancel()
    assert ctx.is_cancelled


def test_a_context_that_no_run_can_have_is_refused(shop: Shop) -> None:
    with pytest.raises(ConfigError, match="attempts count from 1"):
        context(shop.pack, attempt=0)
    with pytest.raises(ConfigError, match="time zone"):
        context(shop.pack, deadline=datetime(2026, 1, 2))  # noqa: DTZ001 - what is refused
