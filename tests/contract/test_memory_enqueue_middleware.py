"""Middleware around enqueues: vetoes, options, headers, and what misbehaves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.surrounded import Mail, Says, Shop

from jobstream import (
    ConfigError,
    Context,
    EnqueuesFailed,
    EnqueueTimeout,
    EnqueueVetoed,
    Enqueuing,
    Middleware,
    MiddlewareFailed,
)
from jobstream.testing import context, memory

if TYPE_CHECKING:
    from collections.abc import Iterator


class Quota(Middleware):
    """Refuses some."""

    def enqueue(self, job: Enqueuing) -> Iterator[None]:
        if job.args.to == "bob":
            message = "acme is over its quota"
            raise EnqueueVetoed(message)
        yield


def test_a_veto_reaches_the_caller_with_its_name_and_nothing_is_written() -> None:
    said: list[str] = []
    shop = Shop(Says("a", said), Quota())

    with memory(shop.app) as jobs:
        with pytest.raises(
            EnqueueVetoed,
            match=r"middleware 'Quota' vetoed the enqueue of 'on_loop': acme is over its quota; "
            "nothing was written",
        ) as vetoed:
            shop.on_loop.enqueue(Mail("bob"))
        assert (vetoed.value.middleware, vetoed.value.reason) == ("Quota", "acme is over its quota")
        assert not vetoed.value.may_be_written
        with pytest.raises(EnqueueVetoed):
            asyncio.run(vetoes(shop))
        with pytest.raises(EnqueuesFailed) as failed:
            shop.on_loop.enqueue_many([Mail("ann"), Mail("bob"), Mail("cid")])
        assert [type(error) for error in failed.value.failures.values()] == [EnqueueVetoed]
        assert list(failed.value.failures) == [1]
        assert len(jobs.seen()) == 2
    assert said.count("a sees EnqueueVetoed") == 3
    assert shop.on_loop.counts.now()[1] == {"EnqueueVetoed": 3}


async def vetoes(shop: Shop) -> None:
    await shop.on_loop.aenqueue(Mail("bob"))


def test_a_vetoed_tick_is_no_job_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop(Quota())
    shop.app.every("1m", name="bobs", args=Mail("bob"))(shop.on_loop)
    shop.app.every("1m", name="anns", args=Mail("ann"))(shop.on_loop)

    with memory(shop.app) as jobs:
        jobs.run_for("90s")
        assert {job.args for job in jobs.seen()} == {Mail("ann")}

    assert "acme is over its quota" in reason_of("bobs", caplog)


def reason_of(schedule: str, caplog: pytest.LogCaptureFixture) -> str:
    """Why the log says that it can't fire."""
    told = [vars(record) for record in caplog.records if record.message == "schedule_broken"]
    assert {each["schedule"] for each in told} == {schedule}
    return str(told[0]["reason"])


class Later(Middleware):
    """Changes options."""

    def enqueue(self, job: Enqueuing) -> Iterator[None]:
        job.delay, job.correlation_id = "10m", f"of {job.queue}"
        yield


def test_a_schedules_job_takes_no_options(caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop(Later())
    shop.app.every("1m", name="ticks", args=Mail("tick"))(shop.on_loop)

    with memory(shop.app) as jobs:
        jobs.run_for("90s")
        assert jobs.seen() == []

    assert "delay" in reason_of("ticks", caplog)


def test_options_may_be_changed() -> None:
    shop, seen = Shop(Later()), []

    class Sees(Middleware):
        def run(self, args: Mail, ctx: Context) -> Iterator[None]:
            assert args.to
            seen.append(ctx.correlation_id)
            yield

    shop.app.middleware(Sees)
    with memory(shop.app) as jobs:
        shop.on_loop.enqueue(Mail("ann"), delay="1s")
        jobs.run_for("9m")
        assert shop.said == []
        jobs.run_for("2m")
        assert shop.said == ["ann of nobody"]
    assert seen == ["of default"]


class Keyed(Middleware):
    """Gives ids."""

    def enqueue(self, job: Enqueuing) -> Iterator[None]:
        job.idempotency_key = "k"
        yield


def test_the_id_of_a_child_is_not_to_be_changed() -> None:
    shop = Shop(Keyed())

    with memory(shop.app) as jobs:
        first = shop.on_loop.enqueue(Mail("ann"))
        assert shop.on_loop.enqueue(Mail("ann")).job_id == first.job_id
        ctx = context(shop.parent)
        with pytest.raises(ConfigError, match="the id of this job is made already"):
            ctx.enqueue(shop.on_loop, Mail("ann"))
        assert len(jobs.seen()) == 1


class Gives(Middleware):
    """Gives what it was made with."""

    def __init__(self, headers: Any) -> None:  # noqa: ANN401 - wrong on purpose
        self.headers = headers

    def enqueue(self, job: Enqueuing) -> Iterator[None]:
        job.headers.update(self.headers)
        yield


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"js-seq": "1"}, "names that begin with 'js-' are jobstream's own"),
        ({"traceparent": "1"}, "those of traces"),
        ({"": "1"}, "a text of 1 to 128 characters"),
        ({"n" * 129: "1"}, "a text of 1 to 128 characters"),
        ({5: "1"}, "a text of 1 to 128 characters"),
        ({"\ud800": "1"}, "can't be written as UTF-8"),
        ({"n": 5}, "header 'n' of a middleware: 5 is no text"),
        ({"n": "\ud800"}, "is no text"),
        ({"n": "é" * 501}, "has 1002 bytes; 1000 at most"),
        ({str(n): "" for n in range(17)}, "17 headers; at most 16"),
    ],
)
def test_headers_out_of_bounds_are_refused_before_anything_is_written(
    headers: object, problem: str
) -> None:
    shop = Shop(Gives(headers))

    with memory(shop.app) as jobs:
        with pytest.raises(ConfigError, match=problem):
            shop.on_loop.enqueue(Mail("ann"))
        assert jobs.seen() == []


class Awkward(Middleware):
    """Does what its name says, at enqueues."""

    def __init__(self, how: str) -> None:
        self.how = how

    def enqueue(self, job: Enqueuing) -> Iterator[None]:
        self.act("raises before")
        if self.how == "never yields":
            return
        try:
            yield
        except EnqueueTimeout:
            if self.how != "swallows":
                raise
        self.act("raises after")
        if self.how == "yields twice":
            yield
        assert job.name

    def act(self, how: str) -> None:
        if how == self.how:
            raise OSError(how)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("raises before", "'Awkward' raised OSError: raises before, so 'on_loop' was not enqueued"),
        ("never yields", "'Awkward' did not yield, so 'on_loop' was not enqueued"),
    ],
)
def test_what_fails_before_the_send_is_raised_and_nothing_is_written(
    how: str, problem: str, *, is_async: bool
) -> None:
    shop = Shop(Awkward(how))

    with memory(shop.app) as jobs:
        with pytest.raises(MiddlewareFailed, match=problem) as failed:
            enqueue(shop, is_async=is_async)
        assert failed.value.middleware == "Awkward"
        assert (failed.value.__cause__ is not None) is (how == "raises before")
        assert jobs.seen() == []


def enqueue(shop: Shop, *, is_async: bool) -> None:
    if is_async:
        asyncio.run(shop.on_loop.aenqueue(Mail("ann")))
    else:
        shop.on_loop.enqueue(Mail("ann"))


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("how", "event"),
    [("raises after", "middleware_failed"), ("yields twice", "middleware_yielded_twice")],
)
def test_what_fails_after_the_acknowledgement_is_logged_and_the_job_is_enqueued(
    how: str, event: str, caplog: pytest.LogCaptureFixture, *, is_async: bool
) -> None:
    shop = Shop(Awkward(how))

    with memory(shop.app) as jobs:
        enqueue(shop, is_async=is_async)
        (job,) = jobs.seen()

    (told,) = [record for record in caplog.records if record.message == event]
    assert (vars(told)["middleware"], vars(told)["job_id"]) == ("Awkward", job.id)


def test_an_enqueue_that_failed_is_raised_whatever_a_middleware_makes_of_it() -> None:
    shop = Shop(Awkward("swallows"))

    with memory(shop.app) as jobs:
        jobs.broker.freeze()
        with pytest.raises(EnqueueTimeout):
            shop.on_loop.enqueue(Mail("ann"))
        jobs.broker.thaw()
