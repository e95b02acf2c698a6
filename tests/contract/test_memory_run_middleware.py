"""Middleware around runs: outcomes, and what misbehaves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.surrounded import KINDS, Mail, Says, Shop

from jobstream import (
    App,
    Backoff,
    Cancel,
    Context,
    Middleware,
    RetryAfter,
)
from jobstream.testing import memory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Odd(Middleware):
    """Does what its name says, around runs."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.times = 0

    def run(self, args: Mail, ctx: Context) -> Iterator[None]:
        self.times += 1
        if self.how == "raises before" and self.times < 2:
            raise OSError(self.how)
        if self.how == "never yields" and self.times < 2:
            return
        if self.how == "cancels":
            why = f"{args.to} is not wanted in {ctx.queue}"
            raise Cancel(why)
        try:
            yield
        except ValueError as error:
            if self.how == "turns":
                raise RetryAfter(3600) from error
            if self.how != "swallows":
                raise
        if self.how == "raises after" and self.times < 2:
            raise OSError(self.how)
        if self.how == "yields twice":
            yield


class OddAsync(Middleware):
    """The same on the loop."""

    def __init__(self, how: str) -> None:
        self.plain = Odd(how)

    async def arun(self, args: Mail, ctx: Context) -> AsyncIterator[None]:
        steps: Any = self.plain.run(args, ctx)
        for _ in steps:
            await asyncio.sleep(0)
            try:
                yield
            except Exception as error:
                await asyncio.sleep(0)
                try:
                    steps.throw(error)
                except StopIteration:
                    return
                raise


def odd(kind: str, how: str) -> Shop:
    """A shop with the middleware that fits its handler, `async` ones where there may be one."""
    if kind == "waits":
        return Shop(OddAsync(how), is_async=True)
    return Shop(Odd(how))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("how", "runs"), [("raises before", 1), ("never yields", 1), ("raises after", 2)]
)
def test_what_fails_around_a_run_is_a_failed_attempt(kind: str, how: str, runs: int) -> None:
    shop = odd(kind, how)

    with memory(shop.app) as jobs:
        shop.jobs[kind].enqueue(Mail("ann"))
        jobs.run_until_idle()
        (job,) = jobs.assert_done(shop.jobs[kind])

    assert job.attempt == 2
    assert len(shop.said) == runs


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_yields_twice_is_told_and_the_run_is_done(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    shop = odd(kind, "yields twice")

    with memory(shop.app) as jobs:
        shop.jobs[kind].enqueue(Mail("ann"))
        jobs.run_until_idle()
        (job,) = jobs.assert_done(shop.jobs[kind])

    assert job.attempt == 1
    told = [record for record in caplog.records if record.message == "middleware_yielded_twice"]
    assert [vars(record)["job"] for record in told] == [kind]


@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_is_turned_into_an_outcome(kind: str) -> None:
    shop = odd(kind, "turns")

    with memory(shop.app) as jobs:
        shop.jobs[kind].enqueue(Mail("bad"))
        jobs.run_for("59m")
        assert len(shop.said) == 1
        jobs.run_until_idle()
        jobs.assert_done(shop.jobs[kind])
    assert len(shop.said) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_that_is_caught_has_not_happened(kind: str) -> None:
    shop = odd(kind, "swallows")

    with memory(shop.app) as jobs:
        shop.jobs[kind].enqueue(Mail("bad"))
        jobs.run_until_idle()
        jobs.assert_done(shop.jobs[kind])
    assert len(shop.said) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_is_ended_without_a_run(kind: str) -> None:
    shop = odd(kind, "cancels")

    with memory(shop.app) as jobs:
        enqueued = shop.jobs[kind].enqueue(Mail("ann"))
        jobs.run_until_idle()
        (job,) = jobs.seen(enqueued)
    assert (job.state, shop.said) == ("cancelled", [])


@pytest.mark.parametrize("kind", KINDS)
def test_what_passes_a_middleware_is_as_it_was(kind: str) -> None:
    said: list[str] = []
    shop, alone = Shop(Says("a", said)), Shop()
    deaths = []
    for each in (shop, alone):
        with memory(each.app) as jobs:
            each.jobs[kind].enqueue(Mail("stops"))
            jobs.run_until_idle()
            (job,) = jobs.seen(each.jobs[kind])
            deaths.append((job.state, job.error, job.message, job.traceback.splitlines()[-1]))
            assert "yield" not in job.traceback, "no line of a middleware"

    assert deaths[0] == deaths[1]


class Hangs(Middleware):
    """Never comes to its yield."""

    async def arun(self, args: Mail, ctx: Context) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield ctx.cancel()  # type: ignore[func-returns-value] # never run
        assert args.to


def test_one_that_hangs_is_under_the_time_limit_of_the_job() -> None:
    app = App("shop")
    app.middleware(Hangs)

    @app.job(timeout="50ms", retry=Backoff(attempts=1))
    async def send(args: Mail) -> None:
        pytest.fail(f"{args} does not run")

    with memory(app) as jobs:
        send.enqueue(Mail("ann"))
        jobs.run_until_idle()
        jobs.assert_dead(send, why="jobstream.Timeout")
