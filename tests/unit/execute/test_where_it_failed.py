"""Each executor tells where a run failed; of a run past its limit, where its handler was then."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from jobstream_processors.core.outcome import Raised, TimedOut
from jobstream_processors.execute.on_loop import LoopExecutor
from jobstream_processors.execute.on_threads import ThreadExecutor

if TYPE_CHECKING:
    from tests.unit.execute.conftest import Ear

    from jobstream_processors.core.outcome import Outcome, Spot

LIMIT_S = 120.0


def ended(ear: Ear, kind: str) -> Outcome:
    """What a run of the job `fails` ends as, on an executor of that kind."""

    async def main() -> Outcome:
        made = LoopExecutor if kind == "async" else ThreadExecutor
        executor = made(4, ear.ended, ear.returned, machine=ear.shop.clock)
        try:
            executor.submit(ear.delivery("a", "fails"))
            return await ear.outcome("a")
        finally:
            executor.close()

    return asyncio.run(main())


def assert_spot(spot: Spot, function: str, line: str) -> None:
    file, _, name = spot.frame.partition(" in ")
    assert "test_where_it_failed.py:" in file
    assert name == function
    assert line in spot.traceback
    assert "/jobstream_processors/" not in spot.traceback


def looks_up() -> None:
    dict[str, str]()["no_such_key"]


@pytest.mark.parametrize("kind", ["async", "thread"])
def test_a_handler_that_raises(ear: Ear, kind: str) -> None:
    async def waits_and_fails(_: object) -> None:
        await asyncio.sleep(0)
        looks_up()

    ear.shop.handle("fails", waits_and_fails if kind == "async" else lambda _: looks_up(), kind)

    outcome = ended(ear, kind)

    assert isinstance(outcome, Raised)
    assert_spot(outcome.spot, "looks_up", "KeyError: 'no_such_key'\n")


def test_a_coroutine_past_its_limit_was_where_it_was_cancelled(ear: Ear) -> None:
    async def asks() -> None:
        await asyncio.Event().wait()  # the other side says nothing

    async def hangs(_: object) -> None:
        await asks()

    ear.shop.handle("fails", hangs, timeout_ms=0)

    async def main() -> Outcome:
        executor = LoopExecutor(4, ear.ended, ear.returned, machine=ear.shop.clock)
        executor.submit(ear.delivery("a", "fails"))
        await asyncio.sleep(0)
        executor.expire()
        return await ear.outcome("a")

    outcome = asyncio.run(main())

    assert isinstance(outcome, TimedOut)
    assert_spot(outcome.spot, "asks", "# the other side says nothing")


def test_a_thread_past_its_limit_is_where_it_is_now(ear: Ear) -> None:
    go_on, inside = threading.Event(), threading.Event()

    def asks() -> None:
        inside.set()
        assert go_on.wait(LIMIT_S)  # the other side says nothing

    ear.shop.handle("fails", lambda _: asks(), "thread", timeout_ms=0)

    async def main() -> Outcome:
        executor = ThreadExecutor(4, ear.ended, ear.returned, machine=ear.shop.clock)
        executor.submit(ear.delivery("a", "fails"))
        await asyncio.to_thread(inside.wait, LIMIT_S)
        executor.expire()
        go_on.set()
        await ear.until(lambda: ear.stopped)
        executor.close()
        return ear.outcomes["a"]

    outcome = asyncio.run(main())

    assert isinstance(outcome, TimedOut)
    assert_spot(outcome.spot, "asks", "Stack (most recent call last):\n")
