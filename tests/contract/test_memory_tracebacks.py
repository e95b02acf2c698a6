"""Where a run failed goes along with its job: to each retry, over each hop, into the letter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import pytest

from jobstream import App, Backoff, Context, RetryAfter, Secret
from jobstream.testing import memory
from jobstream_processors.core.headers import TRACEBACK_BYTES_MAX, Carried, parse

if TYPE_CHECKING:
    from jobstream.testing.memory_jobs import MemoryJobs

WAIT, WHY = "1m", "the other side said when"


@dataclass(frozen=True)
class Order:
    number: str
    card: Annotated[str, Secret] = ""


def trips(jobs: MemoryJobs, topic: str) -> list[Carried]:
    found = [(r.sequence, parse(r.headers())) for r in jobs.broker.records(topic) if r.value()]
    return [carried for _, carried in sorted(found, key=lambda pair: pair[0])]


def copies(jobs: MemoryJobs) -> list[Carried]:
    return [carried for carried in trips(jobs, "shop.jobs") if carried.attempt > 1]


@pytest.mark.parametrize("executor", ["async", "thread"])
def test_each_retry_has_the_traceback_of_the_attempt_that_failed(executor: str) -> None:
    app = App("shop")
    queue = app.queue("jobs")
    policy = Backoff(attempts=3, first="1m", jitter=False)

    def fails(attempt: int) -> None:
        raise KeyError(attempt) if attempt == 1 else OSError(attempt)

    async def in_loop(_: Order, ctx: Context) -> None:
        fails(ctx.attempt)

    def in_thread(_: Order, ctx: Context) -> None:
        fails(ctx.attempt)

    job = app.job(queue=queue, retry=policy)(in_loop if executor == "async" else in_thread)
    with memory(app) as jobs:
        job.enqueue(Order("a"))
        jobs.run_until_idle()
        first, second = copies(jobs)
        (letter,) = trips(jobs, "shop.jobs.dlq")

    assert first.traceback.endswith("KeyError: 1\n")
    assert second.traceback.endswith("OSError: 2\n")
    assert letter.traceback.endswith("OSError: 3\n")
    assert {carried.frame.rpartition(" ")[2] for carried in (first, second, letter)} == {"fails"}


def test_a_retry_that_the_handler_asked_for_tells_of_itself() -> None:
    app = App("shop")
    queue = app.queue("jobs")

    @app.job(queue=queue, retry=Backoff(attempts=3, first="1m"))
    async def asks(_: Order, ctx: Context) -> None:
        if ctx.attempt == 1:
            raise KeyError(ctx.attempt)
        if ctx.attempt == 2:
            raise RetryAfter(WAIT, WHY) from OSError("busy")

    with memory(app) as jobs:
        asks.enqueue(Order("a"))
        jobs.run_until_idle()
        jobs.assert_done(asks)
        _, second = copies(jobs)

    assert (second.error, second.message) == ("jobstream.RetryAfter", WHY)
    assert "OSError: busy" in second.traceback
    assert second.frame.endswith(" in asks")


def test_the_largest_job_keeps_its_bytes_and_its_traceback() -> None:
    app = App("shop")
    queue = app.queue("jobs")

    @app.job(queue=queue, retry=Backoff(attempts=2, first="1m"))
    async def fails(order: Order) -> None:
        raise ValueError("é" * 10_000, ExceptionGroup(order.number[:9], [OSError("x" * 900)] * 15))

    big = Order("n" * 899_800)
    with memory(app) as jobs:
        fails.enqueue(big)
        jobs.run_until_idle()
        (dead,) = jobs.assert_dead(fails)
        (letter,) = trips(jobs, "shop.jobs.dlq")

    assert dead.args == big
    assert 0 < len(letter.traceback.encode()) <= TRACEBACK_BYTES_MAX


def test_secrets_are_in_no_traceback_that_is_kept() -> None:
    app = App("shop")
    queue = app.queue("jobs")

    @app.job(queue=queue, retry=Backoff(attempts=2, first="1m"))
    async def fails(order: Order) -> None:
        raise ExceptionGroup(WHY, [ValueError(f"card {order.card} is no good")])

    with memory(app) as jobs:
        fails.enqueue(Order("a", "4929\n1111\n2222"))
        jobs.run_until_idle()
        (letter,) = trips(jobs, "shop.jobs.dlq")
        kept = [letter, *copies(jobs)]

    assert all("card *** is no good" in carried.traceback for carried in kept)
    assert not any("1111" in carried.traceback for carried in kept)


def test_an_assertion_shows_what_failed_and_where() -> None:
    app = App("shop")
    queue = app.queue("jobs")

    @app.job(queue=queue, retry=Backoff(attempts=2, first="1h", jitter=False))
    async def fails(order: Order) -> None:
        raise KeyError(order.number)

    with memory(app) as jobs:
        first, second = fails.enqueue(Order("a")), fails.enqueue(Order("b"))
        jobs.run_for("1s")
        (waiting, _) = jobs.seen(fails)
        with pytest.raises(AssertionError) as while_it_waits:
            jobs.assert_done(first)
        jobs.run_until_idle()
        with pytest.raises(AssertionError) as once_it_is_dead:
            jobs.assert_done(fails)
        with pytest.raises(AssertionError) as of_another_death:
            jobs.assert_dead(first, why="OSError")

    assert (waiting.state, waiting.error) == ("waiting", "builtins.KeyError")
    for told in (while_it_waits, once_it_is_dead, of_another_death):
        assert f"fails {first.job_id} failed: builtins.KeyError: 'a'\nTraceback " in str(told.value)
        assert "    raise KeyError(order.number)\n" in str(told.value)
    assert f"fails {second.job_id} failed: builtins.KeyError: 'b'\n" in str(once_it_is_dead.value)
    assert second.job_id not in str(of_another_death.value)


def test_a_job_that_failed_and_is_done_tells_of_no_failure() -> None:
    app = App("shop")
    queue = app.queue("jobs")

    @app.job(queue=queue, retry=Backoff(attempts=2, first="1m"))
    async def fails_once(order: Order, ctx: Context) -> None:
        if ctx.attempt == 1:
            raise KeyError(order.number)

    with memory(app) as jobs:
        fails_once.enqueue(Order("a"))
        jobs.run_until_idle()
        (done,) = jobs.assert_done(fails_once)

    assert (done.error, done.message, done.traceback) == ("", "", "")
