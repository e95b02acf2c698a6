"""Finds what is wrong with a worker's event loop: that it is held, or failed by a fault of ours.

An `async` handler that never waits, or args that are never built, keep the loop: no limit is
judged there, no other job gets on, and no drain ends. Only a new process helps. There the job that
did it is among those that had begun, and runs in a child process, which can be killed.

After a fault of ours the worker must not go on: records that were taken up and not run would hold
their partition for ever, in a worker that looks healthy. asyncio reports such faults, and those of
tasks that user code left behind, to one handler, and goes on.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any

from jobstream_processors.background import in_background
from jobstream_processors.errors import ReplaceProcess
from jobstream_processors.execute.on_loop import GRACE_MS, RUNNER_FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from jobstream_processors.delivery import Delivery
    from jobstream_processors.ports import Machine

log = logging.getLogger("jobstream.worker")

LOOK_S = 1.0
LOOKS_MIN = 5
"""So many looks in a row find the loop where it was, so that no freeze of the machine counts."""
TELL_S = 1.0
"""What keeps the loop may keep the log as well, which is waited for no longer."""
FRAMES_MAX = 8


class LoopWatch:
    """Looks once a second, from a thread of its own."""

    def __init__(
        self,
        ticked: Callable[[], float],
        running: Callable[[], list[tuple[Delivery, float]]],
        machine: Machine,
        give_up: Callable[[BaseException], object],
    ) -> None:
        self._ticked = ticked
        """When the loop last came round."""
        self._running = running
        self._machine = machine
        self._give_up = give_up
        """Ends this process; called once, from the thread that looks."""
        self._seen = 0.0
        self._still = 0
        self._loop_thread = threading.get_ident()
        self._closed = threading.Event()

    def start(self, failed: Callable[[BaseException], object]) -> None:
        """Begin; to be called on the loop's thread. Returns at once."""
        in_background("jobstream-watch", self._serve, failed)

    def close(self) -> None:
        """Look no more: the loop is about to end."""
        self._closed.set()

    def look(self) -> None:
        """Give up if the loop stands still and a run is beyond its limit and grace."""
        ticked = self._ticked()
        self._still = self._still + 1 if ticked == self._seen else 0
        self._seen = ticked
        if self._still < LOOKS_MIN or self._closed.is_set():
            return
        now_s = self._machine.awake_s()
        late = [(now_s - began, d) for d, began in self._running() if _is_late(d, began, now_s)]
        if late:
            self._closed.set()
            longest_s, delivery = max(late, key=lambda run: run[0])
            self._tell(longest_s, delivery)
            job = delivery.spec.name if delivery.spec is not None else ""
            message = (
                f"the event loop is held, and job {delivery.id} ({job}) runs for {longest_s:.0f} s"
            )
            self._give_up(ReplaceProcess(message))

    def _serve(self) -> None:
        while not self._closed.wait(LOOK_S):
            self.look()

    def _tell(self, seconds: float, delivery: Delivery) -> None:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - the way to another thread's frame
        # Lines of source alone: no values of the args.
        stack = "".join(traceback.format_stack(frame)[-FRAMES_MAX:]) if frame is not None else ""
        told = {"seconds": round(seconds, 1), "loop_is_at": stack}
        say = partial(log.error, "loop_held", extra=delivery.fields() | told)
        # The process ends anyway, whatever becomes of this thread.
        in_background("jobstream-last-words", say, lambda _: None).join(TELL_S)


def _is_late(delivery: Delivery, began: float, now_s: float) -> bool:
    spec = delivery.spec
    if spec is None or not began or delivery.outlived:
        return False
    return now_s - began > (spec.timeout_ms + GRACE_MS) / 1_000


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
