"""The one way to start a thread of ours: a daemon whose end by an error is always heard.

A thread that dies unheard leaves a process that looks healthy and does only part of its work.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import ThreadPoolExecutor

SOON_S = 6.0
"""How long a process that leaves waits for its threads, beyond the drain."""

log = logging.getLogger("jobstream.threads")


def in_background(
    name: str, work: Callable[[], object], failed: Callable[[BaseException], object]
) -> threading.Thread:
    """Run `work` on a daemon thread of that name; returns at once.

    Whatever `work` raises, `SystemExit` included, is given to `failed` on that thread. `failed`
    tells somebody who can act on it and says so in the log; should it raise, too, both are logged.
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


async def ended_soon(*pools: ThreadPoolExecutor, limit_s: float = SOON_S) -> None:
    """Shut pools down and wait until what they do has ended, for `limit_s` at most.

    A thread that a broker which is away keeps for longer is left behind.
    """
    ended = asyncio.gather(*(asyncio.to_thread(pool.shutdown) for pool in pools))
    with suppress(TimeoutError):
        await asyncio.wait_for(ended, limit_s)


def log_end(what: str) -> Callable[[BaseException], None]:
    """For threads that others do not depend on: their end is an error in the log and no more."""

    def failed(error: BaseException) -> None:
        told = {"name_of_thread": what, "reason": repr(error)}
        log.error("thread_failed", extra=told, exc_info=error)

    return failed
