"""Runs a coroutine on a loop of its own and leaves within a bound, whatever handlers still do.

`asyncio.run` waits for every task and thread: one handler that swallows cancellation, or blocks in
`asyncio.to_thread`, would keep a worker that has settled and committed everything. It decides
nothing about jobs: who is left behind here was interrupted before, and runs again elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from jobstream_processors.errors import WorkerStopped

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

log = logging.getLogger("jobstream.roles")

_T = TypeVar("_T")

LOOK_S = 0.05
LEAVE_S = 2.0
"""How long tasks that were cancelled may take to clean up."""


def run(main: Coroutine[Any, Any, None], leave_s: float = LEAVE_S) -> None:
    """Run `main` to its end; blocks at most `leave_s` longer. Raises what `main` raises.

    Its return does not prove that nothing runs any more: see `leave_process`.
    """
    loop = asyncio.new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(main)
    finally:
        try:
            _cancel_all(loop, leave_s)
        finally:
            asyncio.set_event_loop(None)
            loop.close()


async def unless(told: Callable[[], bool], work: Coroutine[Any, Any, _T]) -> _T | None:
    """What `work` returns; None, within a moment, once the process is `told` to leave.

    A thread that `work` waits for goes on: `leave_process` leaves it behind.
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


def leave_process(code: int) -> None:
    """Exit now if a thread that nobody can stop would keep this process; else return."""
    others = (t for t in threading.enumerate() if t is not threading.main_thread())
    kept = [thread.name for thread in others if not thread.daemon]
    if kept:
        log.warning("threads_left_behind", extra={"threads": kept})
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)


def _cancel_all(loop: asyncio.AbstractEventLoop, leave_s: float) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        _, left = loop.run_until_complete(asyncio.wait(tasks, timeout=leave_s))
        if left:
            log.warning("handlers_left_behind", extra={"tasks": len(left)})
    loop.run_until_complete(loop.shutdown_asyncgens())
