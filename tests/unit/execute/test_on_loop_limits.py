"""Limits of async handlers: time, grace, slots, turns of the loop, and lanes that end."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

from jobstream_processors.core.outcome import DONE, STOPPED, Interrupted, TimedOut
from jobstream_processors.execute.on_loop import GRACE_MS, SLICE_S, LoopExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.unit.execute.conftest import Ear

    from jobstream_processors.context import Context

HOUR_MS = 3_600_000
SLICE_MS = round(SLICE_S * 1_000)
told: contextvars.ContextVar[str] = contextvars.ContextVar("told", default="nothing")


def run(
    ear: Ear, scenario: Callable[[LoopExecutor], Coroutine[Any, Any, None]], slots: int = 10
) -> None:
    """Run the scenario with an executor on a loop of its own."""

    async def main() -> None:
        await scenario(LoopExecutor(slots, ear.ended, ear.returned, machine=ear.shop.clock))

    asyncio.run(main(), debug=False)


def test_a_handler_past_its_limit_is_cancelled(ear: Ear) -> None:
    cancelled: list[bool] = []

    async def hangs(_: object, context: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(context.is_cancelled)

    ear.shop.handle("hangs", hangs, timeout_ms=0, wants_context=True)

    async def scenario(executor: LoopExecutor) -> None:
        executor.submit(ear.delivery("a", "hangs"))
        await asyncio.sleep(0)
        executor.expire()
        assert await ear.outcome("a") == TimedOut(0)
        assert executor.busy == 0

    run(ear, scenario)

    assert cancelled == [True]


def test_a_handler_within_its_limit_is_left_alone(ear: Ear) -> None:
    go_on = asyncio.Event()

    async def waits(_: object) -> None:
        await go_on.wait()

    ear.shop.handle("waits", waits, timeout_ms=HOUR_MS)

    async def scenario(executor: LoopExecutor) -> None:
        executor.submit(ear.delivery("a", "waits"))
        await asyncio.sleep(0)
        executor.expire()
        go_on.set()
        assert await ear.outcome("a") == DONE

    run(ear, scenario)


def test_a_limit_does_not_pass_while_the_machine_is_suspended(ear: Ear) -> None:
    async def works(_: object) -> None:
        await go_on.wait()

    go_on = asyncio.Event()
    ear.shop.handle("works", works, timeout_ms=30_000)

    async def scenario(executor: LoopExecutor) -> None:
        executor.submit(ear.delivery("a", "works"))
        await asyncio.sleep(0)
        ear.shop.clock.advance(29_000)
        ear.shop.clock.suspend(24 * HOUR_MS)
        executor.expire()
        go_on.set()
        assert await ear.outcome("a") == DONE

        go_on.clear()
        executor.submit(ear.delivery("b", "works"))
        await asyncio.sleep(0)
        ear.shop.clock.advance(30_000)
        executor.expire()
        assert await ear.outcome("b") == TimedOut(30_000)

    run(ear, scenario)


def test_one_that_ignores_cancellation_is_given_up_after_the_grace(ear: Ear) -> None:
    go_on = asyncio.Event()

    async def stubborn(_: object) -> None:
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue

    ear.shop.handle("stubborn", stubborn, timeout_ms=0)

    async def scenario(executor: LoopExecutor) -> None:
        executor.submit(ear.delivery("a", "stubborn"))
        await asyncio.sleep(0)
        executor.expire()
        await asyncio.sleep(0)
        assert ear.outcomes == {}

        ear.shop.clock.advance(GRACE_MS)
        executor.expire()
        assert ear.outcomes == {"a": TimedOut(0)}
        assert ear.still_running == ["a"]
        assert (executor.stuck, executor.busy) == (1, 1)

        go_on.set()
        await ear.until(lambda: ear.stopped == ["a"])
        assert (executor.stuck, executor.busy) == (0, 0)

    run(ear, scenario)


def test_no_more_run_at_once_than_there_are_slots(ear: Ear) -> None:
    inside: list[int] = []
    running = 0

    async def counts(_: object) -> None:
        nonlocal running
        running += 1
        inside.append(running)
        for _turn in range(3):
            await asyncio.sleep(0)
        running -= 1

    ear.shop.handle("counts", counts)

    async def scenario(executor: LoopExecutor) -> None:
        for number in range(20):
            executor.submit(ear.delivery(f"{number}", "counts"))
        await ear.until(lambda: len(ear.outcomes) == 20)

    run(ear, scenario, slots=3)

    assert max(inside) == 3


def test_handlers_that_never_wait_still_give_the_loop_its_turns(ear: Ear) -> None:
    turns = 0

    async def burns(_: object) -> None:
        ear.shop.clock.advance(SLICE_MS)

    ear.shop.handle("burns", burns)

    async def others() -> None:
        nonlocal turns
        while len(ear.outcomes) < 24:
            turns += 1
            await asyncio.sleep(0)

    async def scenario(executor: LoopExecutor) -> None:
        for number in range(24):
            executor.submit(ear.delivery(f"{number}", "burns"))
        # As a task: from Python 3.12 on, wait_for gives a coroutine its first turn at once.
        await asyncio.wait_for(asyncio.create_task(others()), 120)

    run(ear, scenario)

    # One after each eight of the 24 but the last.
    assert turns == 2


def test_interrupting_a_lane_cancels_its_runs_alone(ear: Ear) -> None:
    go_on = asyncio.Event()
    other = ear.shop.lane(1)

    async def waits(_: object) -> None:
        await go_on.wait()

    ear.shop.handle("waits", waits)

    async def scenario(executor: LoopExecutor) -> None:
        executor.submit(ear.delivery("a", "waits"))
        executor.submit(ear.delivery("b", "waits", other))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        executor.interrupt(ear.lane)
        assert await ear.outcome("a") == Interrupted()
        assert "b" not in ear.outcomes
        go_on.set()
        assert await ear.outcome("b") == DONE

    run(ear, scenario)


def test_what_waits_for_a_slot_can_be_taken_back(ear: Ear) -> None:
    go_on = asyncio.Event()
    started: list[str] = []

    async def waits(_: object, context: Context) -> None:
        started.append(context.job_id)
        await go_on.wait()

    ear.shop.handle("waits", waits, wants_context=True)

    async def scenario(executor: LoopExecutor) -> None:
        for job_id in "abc":
            executor.submit(ear.delivery(job_id, "waits"))
        await asyncio.sleep(0)
        taken = executor.withdraw(ear.lane)
        assert [d.id for d in taken] == ["b", "c"]
        go_on.set()
        await ear.outcome("a")
        await asyncio.sleep(0)

    run(ear, scenario, slots=1)

    assert started == ["a"]


def test_a_cancelled_job_that_waits_for_a_slot_ends_and_a_run_is_cancelled(ear: Ear) -> None:
    begun = asyncio.Event()
    cancelled: list[bool] = []

    async def waits(_: object, context: Context) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(context.is_cancelled)

    ear.shop.handle("waits", waits, wants_context=True)

    async def scenario(executor: LoopExecutor) -> None:
        first, second = ear.delivery("a", "waits"), ear.delivery("b", "waits")
        executor.submit(first)
        executor.submit(second)
        await begun.wait()
        executor.stop(second)
        assert ear.outcomes == {"b": STOPPED}
        executor.stop(first)
        assert await ear.outcome("a") == STOPPED
        assert executor.busy == 0

    run(ear, scenario, slots=1)
    assert cancelled == [True]


def test_one_that_cleans_up_is_cancelled_once_and_has_its_grace(ear: Ear) -> None:
    log: list[str] = []
    go_on = asyncio.Event()

    async def rolls_back(_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append("begins")
            await go_on.wait()
            log.append("rolled back")

    ear.shop.handle("rolls_back", rolls_back, timeout_ms=0)

    async def scenario(executor: LoopExecutor) -> None:
        executor.submit(delivery := ear.delivery("a", "rolls_back"))
        await asyncio.sleep(0)
        # Given a run past its limit that is cancelled by an operator, too, and whose lane ends
        for _ in range(5):
            executor.expire()
            ear.shop.clock.advance(50)
            await asyncio.sleep(0)
        executor.stop(delivery)
        executor.interrupt(ear.lane)
        await asyncio.sleep(0)
        assert log == ["begins"]
        # Then it ends as what it was cancelled for first
        go_on.set()
        assert await ear.outcome("a") == TimedOut(0)

    run(ear, scenario)

    assert log == ["begins", "rolled back"]


def test_a_cancelled_run_that_does_not_give_way_is_given_up_after_the_grace(ear: Ear) -> None:
    go_on = asyncio.Event()
    cancelled = 0

    async def stubborn(_: object) -> None:
        nonlocal cancelled
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                cancelled += 1

    ear.shop.handle("stubborn", stubborn, timeout_ms=HOUR_MS)
    other = ear.shop.lane(1)

    async def scenario(executor: LoopExecutor) -> None:
        executor.submit(stopped := ear.delivery("a", "stubborn"))
        executor.submit(ear.delivery("b", "stubborn", other))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        executor.stop(stopped)
        executor.interrupt(other)
        for passed_ms in (50, 50, GRACE_MS - 101):
            ear.shop.clock.advance(passed_ms)
            executor.expire()
            await asyncio.sleep(0)
        assert ear.outcomes == {}
        # An operator's word holds after the grace; what another owner has to run is left its time.
        ear.shop.clock.advance(1)
        executor.expire()
        assert ear.outcomes == {"a": STOPPED}
        ear.shop.clock.advance(HOUR_MS)
        executor.expire()
        assert ear.outcomes == {"a": STOPPED, "b": Interrupted()}
        assert ear.still_running == ["a", "b"]
        go_on.set()
        await ear.until(lambda: len(ear.stopped) == 2)

    run(ear, scenario)

    assert cancelled == 2
