"""Waits for the acknowledgement of one record; says what a missing one means for the job.

The caller serves reports while it waits, or another thread does. What a transport reports says why;
what became of the job, and what a repeat does, is added here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from jobstream.errors import EnqueueError, EnqueueTimeout, QueueFull

Done = Callable[[Exception | None, int, int], None]
"""Called with (error, partition, offset) once a record is acknowledged or given up."""

PERHAPS = (
    "the job may still be written. Repeating it with the same idempotency_key is safe, as it is "
    "for a child job; any other repeat is another job"
)
NOT_WRITTEN = "the job was not written: a repeat makes no second one"


class Waiter:
    """Waits for one acknowledgement."""

    __slots__ = ("_error", "_place", "pending")

    def __init__(self) -> None:
        self.pending = threading.Lock()
        """Held until the report. An Event does the same, but takes ten times as long to make."""
        self.pending.acquire()
        self._error: Exception | None = None
        self._place = (-1, -1)

    def done(self, error: Exception | None, partition: int, offset: int) -> None:
        """Called once by the transport, on whatever thread serves reports."""
        self._error, self._place = error, (partition, offset)
        self.pending.release()

    def wait(self, until: float, timeout_s: float) -> tuple[int, int]:
        """(partition, offset) of the record; raises its error, or EnqueueTimeout."""
        if not self.pending.acquire(timeout=left_s(until)):
            raise late(timeout_s)
        if self._error is not None:
            raise self._error
        return self._place


def left_s(until: float) -> float:
    """Seconds from now to the monotonic time `until`; 0 if it is over."""
    return max(0.0, until - time.monotonic())


def late(timeout_s: float) -> EnqueueTimeout:
    """The error of a caller whose wait is over."""
    return EnqueueTimeout(f"no acknowledgement within {timeout_s:g} s")


def unsent(timeout_s: float) -> EnqueueError:
    """The same where the job was not handed to the client library yet, and will not be."""
    return unwritten(EnqueueTimeout(f"not sent within {timeout_s:g} s"))


def unwritten(error: EnqueueError) -> EnqueueError:
    """The same error, of a record that is not in the log and will not be."""
    error.may_be_written = False
    return error


def of_job(error: EnqueueError, what: str) -> EnqueueError:
    """The error of a transport, with the fate of the job `what` and what a repeat does."""
    ending = PERHAPS if error.may_be_written else NOT_WRITTEN
    text = f"{what}: {error}; {ending}" if what else f"{error}; {ending}"
    return retold(error, text, may_be_written=error.may_be_written)


def retold(error: EnqueueError, text: str, *, may_be_written: bool) -> EnqueueError:
    """An error of the same kind with another text."""
    kind = next((k for k in (EnqueueTimeout, QueueFull) if isinstance(error, k)), EnqueueError)
    made = kind(text)
    made.may_be_written = may_be_written
    return made
