"""What handlers share: entered before the first job, left after the last, and given by tests."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import pytest

from jobstream import App, ConfigError, Context
from jobstream.testing import context, memory
from jobstream_processors import lifespan
from jobstream_processors.errors import LifespanFailed, NoResource
from jobstream_processors.lifespan import Lifetime
from jobstream_processors.resources import Resources

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

LIMIT_S = 60.0


@dataclass(frozen=True)
class Mail:
    to: str


@dataclass
class Pool:
    """What an async lifespan yields."""

    name: str
    loop: asyncio.AbstractEventLoop | None = None


@dataclass
class Cache:
    """What a plain lifespan yields."""

    name: str


class Shop:
    """An app whose lifespans and handlers say when they run."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.app = app = App("shop")
        said = self.said

        @app.lifespan
        async def pool() -> AsyncIterator[Pool]:
            said.append("pool begins")
            yield Pool("real", asyncio.get_running_loop())
            said.append("pool ends")

        @app.lifespan
        def cache() -> Iterator[Cache]:
            said.append(f"cache begins on {threading.current_thread().name}")
            yield Cache("real")
            said.append("cache ends")

        @app.job
        async def on_loop(args: Mail, ctx: Context) -> None:
            pool = ctx.resources[Pool]
            assert pool.loop in {None, asyncio.get_running_loop()}
            said.append(f"{args.to} with {pool.name} and {ctx.resources[Cache].name}")

        @app.job
        def in_thread(args: Mail, ctx: Context) -> None:
            said.append(f"{args.to} with {ctx.resources[Pool].name}")

        self.on_loop, self.in_thread = on_loop, in_thread


def test_they_are_entered_in_order_and_left_in_the_opposite_one() -> None:
    shop = Shop()

    with memory(shop.app) as jobs:
        shop.on_loop.enqueue(Mail("ann"))
        jobs.run_until_idle()
        shop.in_thread.enqueue(Mail("bob"))
        jobs.run_until_idle()

    assert shop.said == [
        "pool begins",
        "cache begins on jobstream-lifespan",
        "ann with real and real",
        "bob with real",
        "cache ends",
        "pool ends",
    ]


def test_a_worker_that_takes_the_place_of_another_has_its_own() -> None:
    shop = Shop()

    with memory(shop.app) as jobs:
        jobs.restart()

    begins = [line for line in shop.said if line.startswith("pool")]
    assert begins == ["pool begins", "pool ends", "pool begins", "pool ends"]


def test_a_test_gives_others_in_place_of_all() -> None:
    shop = Shop()

    with memory(shop.app, resources=[Pool("fake"), Cache("fake")]) as jobs:
        shop.on_loop.enqueue(Mail("ann"))
        jobs.run_until_idle()
        jobs.assert_done(shop.on_loop)

    assert shop.said == ["ann with fake and fake"]


def test_a_handler_that_is_called_directly_has_those_of_its_context() -> None:
    shop = Shop()

    shop.in_thread(Mail("ann"), context(shop.in_thread, resources=[Pool("fake")]))

    assert shop.said == ["ann with fake"]


def test_what_no_lifespan_yields_is_an_error_that_names_what_there_is() -> None:
    resources = Resources([Pool("a"), Cache("b"), None])

    with pytest.raises(NoResource, match="is of the class str; there are: Pool, Cache"):
        resources[str]
    with pytest.raises(NoResource, match="several resources are of the class object"):
        resources[object]
    assert Pool in resources
    assert str not in resources


def test_a_class_above_finds_the_only_one_below_it() -> None:
    class Faster(Pool):
        pass

    faster = Faster("a")

    assert Resources([faster, Cache("b")])[Pool] is faster


@pytest.mark.parametrize("place", ["first", "second"])
def test_a_start_that_fails_names_its_lifespan_and_leaves_those_before(place: str) -> None:
    app, said = App("shop"), []

    @app.lifespan
    async def first() -> AsyncIterator[None]:
        if place == "first":
            message = "no database"
            raise OSError(message)
        yield
        said.append("first ends")

    @app.lifespan
    def second() -> Iterator[None]:
        message = "no database"
        raise OSError(message)
        yield

    with (
        pytest.raises(LifespanFailed, match=rf"lifespan '.*{place}' failed: OSError: no database"),
        memory(app),
    ):
        pytest.fail("nothing begins")

    assert said == ["first ends"] * (place == "second")


def test_two_that_yield_the_same_class_are_refused_at_the_start() -> None:
    app = App("shop")

    @app.lifespan
    def one() -> Iterator[Cache]:
        yield Cache("one")

    @app.lifespan
    def two() -> Iterator[Cache]:
        yield Cache("two")

    with pytest.raises(LifespanFailed, match="two resources are of the class Cache"), memory(app):
        pytest.fail("nothing begins")


def test_a_start_that_hangs_is_given_up() -> None:
    app, said = App("shop"), []

    @app.lifespan
    async def hangs() -> AsyncIterator[None]:
        try:
            await asyncio.Event().wait()
        finally:
            said.append("cancelled")
        yield

    async def main() -> None:
        with pytest.raises(LifespanFailed, match=r"'.*hangs' did not start within 0\.01 s"):
            await Lifetime(app.lifespans).begin(0.01)

    asyncio.run(main())
    assert said == ["cancelled"]


def test_an_end_that_hangs_is_left_behind_within_its_bound(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A plain one ends on a thread, which may get no turn within the second that is left to it.
    monkeypatch.setattr(lifespan, "CANCELLED_S", LIMIT_S)
    app, said = App("shop"), []

    @app.lifespan
    def before() -> Iterator[None]:
        yield
        said.append("before ends")

    @app.lifespan
    async def hangs() -> AsyncIterator[None]:
        yield
        await asyncio.Event().wait()

    async def main() -> None:
        lifetime = Lifetime(app.lifespans)
        await lifetime.begin()
        await lifetime.end(0.01)

    asyncio.run(main())

    assert "lifespan_left_behind" in caplog.messages
    assert said == ["before ends"]


def test_an_end_that_raises_is_told_and_keeps_no_other_from_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, said = App("shop"), []

    @app.lifespan
    def before() -> Iterator[None]:
        yield
        said.append("before ends")

    @app.lifespan
    def raises() -> Iterator[None]:
        yield
        message = "the pool is gone"
        raise OSError(message)

    with memory(app):
        pass

    (told,) = [record for record in caplog.records if record.message == "lifespan_failed"]
    assert "raises" in vars(told)["lifespan"]
    assert said == ["before ends"]


def test_one_that_ends_while_jobs_run_is_heard() -> None:
    app, heard = App("shop"), asyncio.Queue[LifespanFailed]()

    @app.lifespan
    @asynccontextmanager
    async def group() -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails())
            yield

    async def fails() -> None:
        message = "the listener died"
        raise OSError(message)

    async def main() -> None:
        lifetime = Lifetime(app.lifespans, heard.put_nowait)
        await lifetime.begin()
        async with asyncio.timeout(60):
            error = await heard.get()
        assert "a lifespan ended while jobs ran" in str(error)
        await lifetime.end(1)

    asyncio.run(main())


def test_one_that_ends_while_jobs_run_in_memory_is_raised_there() -> None:
    app, fails = App("shop"), asyncio.Event()

    @app.lifespan
    @asynccontextmanager
    async def group() -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listens())
            yield

    async def listens() -> None:
        await fails.wait()
        message = "the listener died"
        raise OSError(message)

    @app.job
    async def breaks(_args: Mail) -> None:
        fails.set()

    with memory(app) as jobs:
        breaks.enqueue(Mail("ann"))
        with pytest.raises(LifespanFailed, match="a lifespan ended while jobs ran"):
            jobs.run_until_idle()


def test_a_function_that_returns_a_context_manager_is_one() -> None:
    app = App("shop")

    @app.lifespan
    @contextmanager
    def cache() -> Iterator[Cache]:
        yield Cache("real")

    app.lifespan(Opened)
    seen = []

    @app.job
    def send(args: Mail, ctx: Context) -> None:
        seen.append((args.to, ctx.resources[Cache].name, ctx.resources[Opened].is_open))

    with memory(app) as jobs:
        send.enqueue(Mail("ann"))
        jobs.run_until_idle()
    assert seen == [("ann", "real", True)]


class Opened:
    """A context manager that is a class."""

    is_open = False

    def __enter__(self) -> Self:
        self.is_open = True
        return self

    def __exit__(self, *error: object) -> None:
        self.is_open = False


async def _no_yield() -> None:
    """Yields nothing."""


def _wants(app: App) -> Iterator[None]:
    yield app.close()  # type: ignore[func-returns-value] # never run


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (_no_yield, "'_no_yield': it has no yield"),
        (_wants, "'_wants': a lifespan takes no arguments"),
        ("pool", "'str': give a function with one yield"),
    ],
)
def test_what_is_no_lifespan_is_refused_where_it_is_declared(function: Any, problem: str) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(ConfigError, match=problem):
        App("shop").lifespan(function)
