"""Runs a coroutine on a loop of its own and leaves within a bound, whatever handlers still do.

`asyncio.run` waits for every task and thread: one handler that swallows cancellation, or blocks in
`asyncio.to_thread`, would keep a worker that has settled and committed everything. It decides
nothing about jobs: who is left behind here was interrupted before, and runs again elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from jobstream_processors.errors import WorkerStopped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Sequence

log = logging.getLogger("jobstream.roles")

_T = TypeVar("_T")

LOOK_S = 0.05
LEAVE_S = 2.0
"""How long tasks that were cancelled may take to clean up."""


def run(main: Coroutine[Any, Any, None], leave_s: float = LEAVE_S) -> None:
    """Run `main` to its end; blocks at most `leave_s` longer. Raises what `main` raises.

    Its return does not prove that nothing runs any more: see `exits.leave_threads`.
    """
    loop = asyncio.new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        until_done(loop, loop.create_task(main)).result()
    finally:
        try:
            _cancel_all(loop, leave_s)
        finally:
            asyncio.set_event_loop(None)
            loop.close()


def until_done(loop: asyncio.AbstractEventLoop, task: asyncio.Task[_T]) -> asyncio.Task[_T]:
    """Run the loop until `task` is done, whatever user code on it does to end it; blocks.

    A `SystemExit` in a task that a handler made stops a loop in its middle, as does `loop.stop()`:
    nothing is lost by that, and it goes on. A Ctrl-C that no handler of ours hears is passed on.
    """
    task.add_done_callback(lambda _: loop.stop())
    while not task.done():
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            if isinstance(error, KeyboardInterrupt) and _is_from_a_terminal():
                raise
            log.exception("loop_stopped_by_user_code")
        else:
            if not task.done():
                log.error("loop_stopped_by_user_code")
    return task


def _is_from_a_terminal() -> bool:
    """Whether a KeyboardInterrupt may be a signal's, and not one that user code raised."""
    if threading.current_thread() is not threading.main_thread():
        return False
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


async def unless(told: Callable[[], bool], work: Coroutine[Any, Any, _T]) -> _T | None:
    """What `work` returns; None, within a moment, once the process is `told` to leave.

    A thread that `work` waits for goes on: `exits.leave_threads` leaves it behind.
    """
    task = asyncio.ensure_future(work)
    while not told():
        done, _ = await asyncio.wait([task], timeout=LOOK_S)
        if done:
            return task.result()
    task.cancel()
    return None


async def drained(
    work: Sequence[asyncio.Task[None]], broken: asyncio.Future[BaseException]
) -> BaseException | None:
    """What the process is to end with, once every role that runs here has drained.

    One role's error is no reason to cut off the jobs of another. Only a process that must publish
    nothing more has nothing to drain, and ends at once.
    """
    error: BaseException | None = None
    while True:
        found = [broken.result()] if broken.done() else []
        found += [e for task in work if task.done() and (e := task.exception()) is not None]
        for one in found:
            if isinstance(one, WorkerStopped):
                return one
            error = error or one
        left = [task for task in work if not task.done()]
        if not left:
            return error
        ends: list[asyncio.Future[Any]] = [*left] if broken.done() else [*left, broken]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)


def tell(
    loop: asyncio.AbstractEventLoop, broken: asyncio.Future[BaseException], error: BaseException
) -> None:
    """Say from another thread that this process can't go on, as one of its threads has ended."""

    def take() -> None:
        if not broken.done():
            broken.set_result(error)

    if not isinstance(error, WorkerStopped):
        log.error("thread_failed", exc_info=error, extra={"reason": repr(error)})
    with suppress(RuntimeError):  # The loop is closed: the roles have left already.
        loop.call_soon_threadsafe(take)


def _cancel_all(loop: asyncio.AbstractEventLoop, leave_s: float) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        if not task.cancelling():  # A second time would cut a clean-up short.
            task.cancel()
    if tasks:
        _, left = until_done(loop, loop.create_task(_wait(tasks, leave_s))).result()
        if left:
            log.warning("handlers_left_behind", extra={"tasks": len(left)})
    generators = loop.create_task(loop.shutdown_asyncgens())
    until_done(loop, loop.create_task(_wait([generators], leave_s))).result()


async def _wait(
    tasks: Collection[asyncio.Task[Any]], limit_s: float
) -> tuple[set[asyncio.Task[Any]], set[asyncio.Task[Any]]]:
    return await asyncio.wait(tasks, timeout=limit_s)
