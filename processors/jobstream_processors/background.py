"""The one way to start a thread of ours: a daemon whose end by an error is always heard.

A thread that dies unheard leaves a process that looks healthy and does only part of its work.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
SOON_S = 6.0
"""How long a process that leaves waits for its threads, beyond the drain."""

log = logging.getLogger("jobstream.threads")


def in_background(
    name: str, work: Callable[[], object], failed: Callable[[BaseException], object]
) -> threading.Thread:
    """Run `work` on a daemon thread of that name; returns at once.

    Whatever `work` raises, `SystemExit` included, is given to `failed` on that thread. `failed`
    passes it to a part that can act on it, and logs it; should it raise, too, both are logged.
    """

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - no end of a thread goes unheard
            try:
                failed(error)
            except BaseException:
                log.exception("thread_failed", extra={"name_of_thread": name})

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


async def aside(name: str, function: Callable[..., T], *given: Any) -> T:  # noqa: ANN401 - what it takes
    """Call `function(*given)` on a daemon thread of that name; returns and raises what it does.

    In place of `asyncio.to_thread`, whose threads belong to user code: handlers can fill the
    loop's own pool with calls that never end, and an interpreter that exits waits for them. It is
    called in a copy of this context. A caller that gives up waiting leaves the thread to itself. A
    StopIteration comes out as the cause of a RuntimeError.
    """
    from asyncio import get_running_loop  # noqa: PLC0415 - there is one; a plain producer has none

    loop = get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if ended.done():
            return
        if error is None:
            ended.set_result(cast("T", result))
        else:
            ended.set_exception(error)

    def work() -> None:
        result = call(function, *given)
        with suppress(RuntimeError):  # The loop is closed, and no task waits any more.
            loop.call_soon_threadsafe(tell, result, None)

    def failed(error: BaseException) -> None:
        told = error
        if isinstance(error, StopIteration):
            # No future takes one. Python itself does the same where a coroutine raises it.
            told = RuntimeError(f"{name} raised StopIteration")
            told.__cause__ = error
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, None, told)

    call = copy_context().run
    in_background(name, work, failed)
    return await ended


async def ended_soon(*pools: ThreadPoolExecutor, limit_s: float = SOON_S) -> None:
    """Shut pools down and wait until what they do has ended, for `limit_s` at most.

    A thread that a broker which is away keeps for longer is left behind.
    """
    from asyncio import gather, wait_for  # noqa: PLC0415 - as in `aside`

    ended = gather(*(aside("jobstream-shutdown", pool.shutdown) for pool in pools))
    with suppress(TimeoutError):
        await wait_for(ended, limit_s)


def log_end(what: str) -> Callable[[BaseException], None]:
    """For threads that others do not depend on: their end is an error in the log and no more."""

    def failed(error: BaseException) -> None:
        told = {"name_of_thread": what, "reason": repr(error)}
        log.error("thread_failed", extra=told, exc_info=error)

    return failed
