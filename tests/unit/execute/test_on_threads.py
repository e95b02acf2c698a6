"""Plain handlers in threads: a slot is held until the thread returns, whatever was told before."""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import TYPE_CHECKING, Any

from tests.harness.waiting import wait_until

from jobstream_processors.core.outcome import (
    DONE,
    RETURNED,
    STOPPED,
    DeclaredDead,
    Raised,
    TimedOut,
)
from jobstream_processors.execute.on_threads import IDLE_S, ThreadExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.unit.execute.conftest import Ear

    from jobstream_processors.context import Context

LIMIT_S = 120.0
IDLE_MS = int(IDLE_S * 1_000)


def run(
    ear: Ear, scenario: Callable[[ThreadExecutor], Coroutine[Any, Any, None]], slots: int = 4
) -> None:
    """Run the scenario with an executor of its own."""

    async def main() -> None:
        executor = ThreadExecutor(slots, ear.ended, ear.returned, machine=ear.shop.clock)
        try:
            await scenario(executor)
        finally:
            executor.close()

    asyncio.run(main())


def test_handlers_run_beside_the_loop_and_end_on_it(ear: Ear) -> None:
    here = threading.get_ident()
    ran_in: list[int] = []

    def works(_: object) -> None:
        ran_in.append(threading.get_ident())

    ear.shop.handle("works", works, "thread")

    async def scenario(executor: ThreadExecutor) -> None:
        executor.submit(ear.delivery("a", "works"))
        assert await ear.outcome("a") == DONE
        assert executor.busy == 0

    run(ear, scenario)

    assert ran_in
    assert here not in ran_in


class Mark:
    """Stands for what a trace keeps."""


def test_an_idle_thread_keeps_nothing_of_its_last_job(ear: Ear) -> None:
    ear.shop.handle("works", lambda _: None, "thread")

    async def scenario(executor: ThreadExecutor) -> None:
        delivery = ear.delivery("a", "works")
        delivery.trace = mark = Mark()  # type: ignore[assignment] # a compiled delivery takes no weak reference itself
        kept = weakref.ref(mark)
        del mark
        executor.submit(delivery)
        del delivery
        await ear.outcome("a")
        ear.shop.judge.forget(ear.lane)
        wait_until(lambda: kept() is None, "nothing holds the job", limit_s=LIMIT_S)

    run(ear, scenario)


def test_ends_are_told_for_what_they_are(ear: Ear) -> None:
    async def hidden(_: object) -> None:
        """Never awaited."""

    handlers: dict[str, Callable[[object], object]] = {
        "answers": lambda _: 7,
        "exits": lambda _: exit(3),  # noqa: PLR1722 - what a user may call
        "coroutine": hidden,
    }
    for name, handler in handlers.items():
        ear.shop.handle(name, handler, "thread")

    async def scenario(executor: ThreadExecutor) -> None:
        for name in handlers:
            executor.submit(ear.delivery(name, name))
        bad = ear.delivery("bad", "answers")
        bad.value = bad.value[:-1]
        executor.submit(bad)
        await ear.until(lambda: len(ear.outcomes) == 4)

    run(ear, scenario)

    assert ear.outcomes["answers"] == RETURNED
    exits, coroutine, bad = (ear.outcomes[name] for name in ("exits", "coroutine", "bad"))
    assert isinstance(exits, Raised)
    assert exits.error == "builtins.SystemExit"
    assert isinstance(coroutine, Raised)
    assert coroutine.error == "jobstream.NotAwaited"
    assert isinstance(bad, DeclaredDead)
    assert bad.reason == "undecodable"


def test_a_thread_past_its_limit_is_told_and_holds_its_slot_until_it_returns(ear: Ear) -> None:
    go_on, inside = threading.Event(), threading.Event()

    def hangs(_: object, context: Context) -> None:
        inside.set()
        assert go_on.wait(LIMIT_S)
        assert context.is_cancelled

    ear.shop.handle("hangs", hangs, "thread", timeout_ms=0, wants_context=True)
    ear.shop.handle("next", lambda _: None, "thread")

    async def scenario(executor: ThreadExecutor) -> None:
        executor.submit(ear.delivery("a", "hangs"))
        executor.submit(ear.delivery("b", "next"))
        await asyncio.to_thread(inside.wait, LIMIT_S)

        executor.expire()
        executor.expire()
        assert ear.outcomes == {"a": TimedOut(0)}
        assert ear.still_running == ["a"]
        assert (executor.stuck, executor.busy) == (1, 2)

        go_on.set()
        assert await ear.outcome("b") == DONE
        assert ear.stopped == ["a"]
        assert (executor.stuck, executor.busy) == (0, 0)

    run(ear, scenario, slots=1)


def test_a_limit_does_not_pass_while_the_machine_is_suspended(ear: Ear) -> None:
    go_on, inside = threading.Event(), threading.Event()

    def works(_: object) -> None:
        inside.set()
        assert go_on.wait(LIMIT_S)

    ear.shop.handle("works", works, "thread", timeout_ms=30_000)

    async def scenario(executor: ThreadExecutor) -> None:
        executor.submit(ear.delivery("a", "works"))
        await asyncio.to_thread(inside.wait, LIMIT_S)
        ear.shop.clock.advance(29_000)
        ear.shop.clock.suspend(86_400_000)
        executor.expire()
        go_on.set()
        assert await ear.outcome("a") == DONE

    run(ear, scenario, slots=1)


def test_no_more_run_at_once_than_there_are_slots(ear: Ear) -> None:
    lock = threading.Lock()
    pair = threading.Barrier(2)
    inside, most = 0, 0

    def counts(_: object) -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        pair.wait(LIMIT_S)
        with lock:
            inside -= 1
        pair.wait(LIMIT_S)

    ear.shop.handle("counts", counts, "thread")

    async def scenario(executor: ThreadExecutor) -> None:
        for number in range(8):
            executor.submit(ear.delivery(f"{number}", "counts"))
        await ear.until(lambda: len(ear.outcomes) == 8)

    run(ear, scenario, slots=2)

    assert set(ear.outcomes.values()) == {DONE}
    assert most == 2


def test_jobs_that_wait_for_each_other_get_threads_while_others_never_wait(ear: Ear) -> None:
    """A thread takes job after job: whatever waits in one must not hold up what is left."""
    pair = threading.Barrier(2)

    def meets(_: object) -> None:
        pair.wait(LIMIT_S)

    ear.shop.handle("pairs", meets, "thread")
    ear.shop.handle("works", lambda _: None, "thread")
    jobs = [(f"{n}", "works" if n % 5 else "pairs") for n in range(600)]

    async def scenario(executor: ThreadExecutor) -> None:
        for job_id, job in jobs:
            executor.submit(ear.delivery(job_id, job))
            if job == "pairs":
                await asyncio.sleep(0)  # The threads and the loop take turns in many ways.
        await ear.until(lambda: len(ear.outcomes) == len(jobs))
        assert executor.busy == 0

    run(ear, scenario, slots=3)

    assert set(ear.outcomes.values()) == {DONE}


def test_a_lane_that_is_interrupted_asks_its_handlers_to_stop(ear: Ear) -> None:
    go_on, inside = threading.Event(), threading.Semaphore(0)
    asked: dict[str, bool] = {}
    other = ear.shop.lane(1)

    def waits(_: object, context: Context) -> None:
        inside.release()
        assert go_on.wait(LIMIT_S)
        asked[context.job_id] = context.is_cancelled

    ear.shop.handle("waits", waits, "thread", wants_context=True)

    async def scenario(executor: ThreadExecutor) -> None:
        executor.submit(ear.delivery("a", "waits"))
        executor.submit(ear.delivery("b", "waits", other))
        for _ in range(2):
            assert await asyncio.to_thread(inside.acquire, timeout=LIMIT_S)
        executor.interrupt(ear.lane)
        go_on.set()
        await ear.until(lambda: len(ear.outcomes) == 2)

    run(ear, scenario)

    assert asked == {"a": True, "b": False}


def test_what_waits_for_a_slot_can_be_taken_back(ear: Ear) -> None:
    go_on = threading.Event()
    ear.shop.handle("waits", lambda _: go_on.wait(LIMIT_S) and None, "thread")

    async def scenario(executor: ThreadExecutor) -> None:
        for job_id in "abc":
            executor.submit(ear.delivery(job_id, "waits"))
        taken = executor.withdraw(ear.lane)
        assert [d.id for d in taken] == ["b", "c"]
        go_on.set()
        await ear.outcome("a")
        assert executor.busy == 0

    run(ear, scenario, slots=1)

    assert list(ear.outcomes) == ["a"]


def test_a_cancelled_job_that_waits_ends_and_a_run_is_asked_to(ear: Ear) -> None:
    begun = threading.Event()

    def asks(_: object, context: Context) -> None:
        begun.set()
        while not context.is_cancelled:
            pass
        message = "leaves"
        raise OSError(message)

    ear.shop.handle("asks", asks, "thread", wants_context=True)

    async def scenario(executor: ThreadExecutor) -> None:
        first, second = ear.delivery("a", "asks"), ear.delivery("b", "asks")
        executor.submit(first)
        executor.submit(second)
        executor.stop(second)
        assert ear.outcomes == {"b": STOPPED}
        assert await asyncio.to_thread(begun.wait, LIMIT_S)
        executor.stop(first)
        assert isinstance(await ear.outcome("a"), Raised)
        assert executor.busy == 0

    run(ear, scenario, slots=1)


def test_threads_that_a_burst_has_left_idle_end_and_no_more_of_them(ear: Ear) -> None:
    """Whatever is busy goes on, whatever was needed just now stays, and jobs start ever after."""
    burst, go_on = threading.Barrier(6), threading.Event()
    pair = threading.Barrier(2)
    served_by: set[threading.Thread] = set()
    ear.shop.handle("joins", lambda _: joins(burst), "thread")
    ear.shop.handle("pairs", lambda _: joins(pair), "thread")
    ear.shop.handle(
        "stays", lambda _: go_on.wait(LIMIT_S) and None, "thread", timeout_ms=9 * IDLE_MS
    )

    def joins(all_of_them: threading.Barrier) -> None:
        served_by.add(threading.current_thread())
        all_of_them.wait(LIMIT_S)

    def living() -> int:
        return sum(thread.is_alive() for thread in served_by)

    async def left(number: int) -> None:
        what = f"{number} threads are left"
        await asyncio.to_thread(wait_until, lambda: living() == number, what, limit_s=LIMIT_S)

    async def together(executor: ThreadExecutor, handler: str, *ids: str) -> None:
        for job_id in ids:
            executor.submit(ear.delivery(job_id, handler))
        for job_id in ids:
            assert await ear.outcome(job_id) == DONE

    async def idle(executor: ThreadExecutor) -> None:
        ear.shop.clock.advance(IDLE_MS)
        executor.expire()

    async def scenario(executor: ThreadExecutor) -> None:
        await together(executor, "joins", *"abcdef")
        executor.submit(ear.delivery("stays", "stays"))
        await idle(executor)  # the burst was within the time
        assert living() == 6

        await together(executor, "pairs", "g", "h")
        await idle(executor)
        await left(3)  # one is busy, and two were beside it
        await idle(executor)
        await left(1)
        go_on.set()
        assert await ear.outcome("stays") == DONE
        await idle(executor)
        await idle(executor)
        await left(0)

        await together(executor, "joins", *"ijklmn")
        assert living() == 6

    run(ear, scenario, slots=6)
