"""Middleware around enqueues and runs, on the parts of a real worker in memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.surrounded import KINDS, TENANT, Mail, Says, Shop, Tenants, enqueued_by

from jobstream import (
    App,
    ConfigError,
    Context,
    Enqueuing,
    Middleware,
)
from jobstream.testing import memory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_is_the_outermost_around_enqueue_and_run(kind: str) -> None:
    said: list[str] = []
    shop = Shop(Says("a", said), Says("b", said))

    with memory(shop.app) as jobs:
        shop.jobs[kind].enqueue(Mail("ann"))
        assert said == [f"a before {kind}", f"b before {kind}", "b after True", "a after True"]
        said.clear()
        jobs.run_until_idle()

    assert said == ["a runs ann 1", "b runs ann 1", "b ran", "a ran"]
    assert shop.said == ["ann of nobody"]


@pytest.mark.parametrize("kind", [*KINDS, "alone"])
def test_a_header_goes_with_the_job_to_its_run(kind: str) -> None:
    shop = Shop(Tenants())

    with memory(shop.app) as jobs:
        enqueued_by("acme", shop, kind, "ann")
        jobs.run_until_idle()

    assert [line.split(" of ")[1] for line in shop.said] == ["acme"]
    assert TENANT.get() == "nobody"


@pytest.mark.parametrize("kind", KINDS)
def test_copies_on_the_ladder_keep_headers_and_each_attempt_is_run_within(kind: str) -> None:
    said: list[str] = []
    shop = Shop(Tenants(), Says("a", said))

    with memory(shop.app) as jobs:
        enqueued_by("acme", shop, kind, "bad")
        said.clear()
        jobs.run_until_idle()
        jobs.assert_done(shop.jobs[kind])

    assert shop.said == ["bad of acme"] * 3
    assert said == [
        *("a runs bad 1", "a sees ValueError", "a runs bad 2", "a sees ValueError"),
        *("a runs bad 3", "a ran"),
    ]


def test_a_child_is_enqueued_within_and_inherits_what_is_bound() -> None:
    shop = Shop(Tenants())

    with memory(shop.app) as jobs:
        token = TENANT.set("acme")
        shop.parent.enqueue(Mail("ann"))
        TENANT.reset(token)
        jobs.run_until_idle()
        jobs.assert_done(shop.parent)

    assert shop.said == ["ann of acme"]


def test_many_have_their_headers_each() -> None:
    said: list[str] = []
    shop = Shop(Tenants(), Says("a", said))

    with memory(shop.app) as jobs:
        shop.on_loop.enqueue_many([Mail("ann"), Mail("bob")])
        assert said == ["a before on_loop", "a after False"] * 2
        jobs.run_until_idle()
    assert sorted(shop.said) == ["ann of nobody", "bob of nobody"]


def test_a_schedules_job_is_made_within() -> None:
    shop = Shop(Tenants())
    shop.app.every("1m", args=Mail("tick"))(shop.on_loop)

    with memory(shop.app) as jobs:
        jobs.run_for("90s")

    assert set(shop.said) == {"tick of nobody"}


class AsyncAlone(Middleware):
    """Has the halves for coroutines alone."""

    async def aenqueue(self, job: Enqueuing) -> AsyncIterator[None]:
        await asyncio.sleep(0)
        job.headers["tenant"] = "async"
        yield
        await asyncio.sleep(0)

    async def arun(self, args: Mail, ctx: Context) -> AsyncIterator[None]:
        assert args.to
        await asyncio.sleep(0)
        TENANT.set(ctx.headers["tenant"])
        yield


def test_coroutines_have_halves_of_their_own_and_plain_handlers_want_plain_ones() -> None:
    app, said = App("shop"), []
    app.middleware(AsyncAlone())

    @app.job
    async def send(args: Mail) -> None:
        said.append(f"{args.to} of {TENANT.get()}")

    with memory(app) as jobs:
        asyncio.run(send.aenqueue(Mail("ann")))
        jobs.run_until_idle()
        with pytest.raises(ConfigError, match="'AsyncAlone' has `aenqueue` alone"):
            send.enqueue(Mail("ann"))
    assert said == ["ann of async"]

    @app.job
    def plain(args: Mail) -> None:
        """Do nothing."""

    with pytest.raises(
        ConfigError, match="'AsyncAlone' has `arun` alone, and job 'plain' has a plain `def`"
    ):
        app.specs()


class Nothing(Middleware):
    """Overrides nothing."""


class NoYield(Middleware):
    """Has no yield."""

    def run(self, args: Any, ctx: Context) -> Iterator[None]:  # noqa: ANN401, ARG002 - as the base class
        return iter(())


class Wants(Middleware):
    """Takes an argument."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def run(self, args: Any, ctx: Context) -> Iterator[None]:  # noqa: ANN401, ARG002 - as the base class
        yield


@pytest.mark.parametrize(
    ("middleware", "problem"),
    [
        (Nothing, "'Nothing' overrides none of enqueue, aenqueue, run, arun"),
        (NoYield, "`run` is to be a plain `def` method with one `yield`"),
        (Wants, r"middleware Wants: .*give an instance where it takes arguments"),
        (print, "'print': give a subclass of jobstream.Middleware"),
    ],
)
def test_what_is_none_is_refused_where_it_is_declared(middleware: Any, problem: str) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(ConfigError, match=problem):
        App("shop").middleware(middleware)


def test_after_the_first_enqueue_it_is_too_late() -> None:
    shop = Shop()

    with memory(shop.app):
        shop.on_loop.enqueue(Mail("ann"))
        with pytest.raises(ConfigError, match="the app has enqueued already"):
            shop.app.middleware(Tenants)


def test_a_handler_that_is_called_directly_has_nothing_around_it() -> None:
    said: list[str] = []
    shop = Shop(Says("a", said))

    asyncio.run(shop.alone(Mail("ann")))

    assert (said, shop.said) == ([], ["ann alone of nobody"])


def test_without_any_handlers_and_clients_are_left_as_they_are() -> None:
    shop = Shop()
    spec = shop.alone.spec
    assert spec is not None

    with memory(shop.app):
        assert shop.app.specs()["alone"].function is spec.function
        assert type(shop.app.client).__name__ == "Client"
