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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

log = logging.getLogger("jobstream.roles")

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
