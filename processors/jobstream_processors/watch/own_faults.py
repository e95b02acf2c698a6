"""Tells a fault of ours on the event loop from what user code left behind there.

asyncio reports both to one handler and goes on. After a fault of ours it must not: records that
were taken up and not run would hold their partition for ever, in a worker that looks healthy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobstream_processors.execute.on_loop import RUNNER_FAILED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType


def own_fault(context: Mapping[str, Any]) -> BaseException | None:
    """The error in `context`, as asyncio gives it to an exception handler, if it is ours.

    Ours is what a runner of handlers failed by, and what a callback of this package raised.
    """
    error: BaseException | None = context.get("exception")
    if error is None:
        return None
    if context.get("message") == RUNNER_FAILED:
        return error
    return error if "handle" in context and _is_here(error.__traceback__) else None


def _is_here(trace: TracebackType | None) -> bool:
    """Whether the callback is one of this package: its frame is the first after asyncio's own."""
    while trace is not None and _module(trace).startswith("asyncio."):
        trace = trace.tb_next
    return trace is not None and _module(trace).startswith("jobstream_processors.")


def _module(trace: TracebackType) -> str:
    return str(trace.tb_frame.f_globals.get("__name__", ""))
