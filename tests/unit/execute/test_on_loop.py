"""Async handlers: each in a real task with its own context, none disturbed by its neighbours."""

from __future__ import annotations

import asyncio
import contextvars
import time
from typing import TYPE_CHECKING, Any

from jobstream.kafka.client.broker_clock import MACHINE
from jobstream_processors.core.outcome import (
    DONE,
    RETURNED,
    Cancel,
    Cancelled,
    DeclaredDead,
    Raised,
)
from jobstream_processors.execute.on_loop import LoopExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.unit.execute.conftest import Ear


HOUR_MS = 3_600_000
told: contextvars.ContextVar[str] = contextvars.ContextVar("told", default="nothing")


def run(
    ear: Ear, scenario: Callable[[LoopExecutor], Coroutine[Any, Any, None]], slots: int = 10
) -> None:
    """Run the scenario with an executor on a loop of its own."""

    async def main() -> None:
        await scenario(LoopExecutor(slots, ear.ended, ear.returned, machine=MACHINE))

    asyncio.run(main(), debug=False)


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def test_handlers_that_never_wait_share_one_task(ear: Ear) -> None:
    tasks: set[int] = set()

    async def quick(_: object) -> None:
        tasks.add(id(asyncio.current_task()))

    ear.shop.handle("quick", quick)

    async def scenario(executor: LoopExecutor) -> None:
        for number in range(5):
            executor.submit(ear.delivery(f"{number}", "quick"))
        assert len(asyncio.all_tasks()) == 2
        await ear.outcome("4")
        assert executor.busy == 0

    run(ear, scenario)

    assert len(tasks) == 1
    assert list(ear.outcomes.values()) == [DONE] * 5


def test_what_a_handler_sets_no_other_handler_sees(ear: Ear) -> None:
    seen: list[str] = []

    async def sets(_: object) -> None:
        seen.append(told.get())
        told.set("quick")
        await asyncio.sleep(0)
        seen.append(told.get())

    async def looks(_: object) -> None:
        seen.append(told.get())
        told.set("leaked")

    ear.shop.handle("sets", sets)
    ear.shop.handle("looks", looks)

    async def scenario(executor: LoopExecutor) -> None:
        for job_id, job in (("a", "looks"), ("b", "sets"), ("c", "looks"), ("d", "looks")):
            executor.submit(ear.delivery(job_id, job))
        await ear.until(lambda: len(ear.outcomes) == 4)
        assert told.get() == "nothing"

    run(ear, scenario)

    assert sorted(seen) == ["nothing"] * 4 + ["quick"]


def test_a_timeout_and_the_current_task_work_from_the_first_step(ear: Ear) -> None:
    tasks: list[object] = []

    async def waits(_: object) -> None:
        tasks.append(asyncio.current_task())
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            tasks.append(asyncio.current_task())

    ear.shop.handle("waits", waits)

    async def scenario(executor: LoopExecutor) -> None:
        executor.submit(ear.delivery("a", "waits"))
        assert await ear.outcome("a") == DONE

    run(ear, scenario)

    assert tasks[0] is tasks[1] is not None


def test_a_handler_that_cancels_itself_fails_and_takes_no_other_along(ear: Ear) -> None:
    async def cancels_at_once(_: object) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    async def cancels_and_waits(_: object) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.Event().wait()

    async def yields(_: object) -> None:
        await asyncio.sleep(0)

    for name, handler in (("one", cancels_at_once), ("two", cancels_and_waits), ("next", yields)):
        ear.shop.handle(name, handler)

    async def scenario(executor: LoopExecutor) -> None:
        for job_id, job in (("a", "one"), ("b", "next"), ("c", "two"), ("d", "next")):
            executor.submit(ear.delivery(job_id, job))
        await ear.until(lambda: len(ear.outcomes) == 4)

    run(ear, scenario)

    assert ear.outcomes["a"] == ear.outcomes["b"] == ear.outcomes["d"] == DONE
    failed = ear.outcomes["c"]
    assert isinstance(failed, Raised)
    assert failed.error == "asyncio.CancelledError"


def test_ends_are_told_for_what_they_are(ear: Ear) -> None:
    async def fails(_: object) -> None:
        raise SystemExit(3)

    async def answers(_: object) -> int:
        return 7

    async def answers_late(_: object) -> int:
        await asyncio.sleep(0)
        return 7

    async def cancels(_: object) -> None:
        await asyncio.sleep(0)
        msg = "not wanted"
        raise Cancel(msg)

    for handler in (fails, answers, answers_late, cancels):
        ear.shop.handle(handler.__name__.replace("_", "-"), handler)

    async def scenario(executor: LoopExecutor) -> None:
        for job in ("fails", "answers", "answers-late", "cancels"):
            executor.submit(ear.delivery(job, job))
        await ear.until(lambda: len(ear.outcomes) == 4)

    run(ear, scenario)

    failed = ear.outcomes["fails"]
    assert isinstance(failed, Raised)
    assert failed.error == "builtins.SystemExit"
    assert ear.outcomes["answers"] == ear.outcomes["answers-late"] == RETURNED
    assert ear.outcomes["cancels"] == Cancelled("not wanted")


def test_args_that_can_not_be_read_bury_the_job_and_no_other(ear: Ear) -> None:
    async def scenario(executor: LoopExecutor) -> None:
        bad, good = ear.delivery("bad", "send"), ear.delivery("good", "send")
        bad.value = bad.value[:-1]
        executor.submit(bad)
        executor.submit(good)
        await ear.until(lambda: len(ear.outcomes) == 2)

    run(ear, scenario)

    dead = ear.outcomes["bad"]
    assert isinstance(dead, DeclaredDead)
    assert dead.reason == "undecodable"
    assert ear.outcomes["good"] == DONE
