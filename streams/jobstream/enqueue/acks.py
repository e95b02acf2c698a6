"""Waiting for acknowledgements: of one record, or of many, with their failures counted.

Reports come in on the transport's thread, the caller waits on its own. What a transport reports
says why; what became of the job, and what a repeat does, is added here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import count

from jobstream.errors import EnqueueError, EnqueuesFailed, EnqueueTimeout, QueueFull

Done = Callable[[Exception | None, int, int], None]
"""Called with (error, partition, offset) once a record is acknowledged or given up."""

PERHAPS = (
    "the job may still be written. Repeating it with the same idempotency_key is safe, as it is "
    "for a child job; any other repeat is another job"
)
NOT_WRITTEN = "the job was not written: a repeat makes no second one"
FAILURES_MAX = 100
"""Failures of one `enqueue_many` that are kept; the others are only counted."""


class Waiter:
    """Waits for one acknowledgement."""

    __slots__ = ("_error", "_event", "_place")

    def __init__(self) -> None:
        self._event = threading.Event()
        self._error: Exception | None = None
        self._place = (-1, -1)

    def done(self, error: Exception | None, partition: int, offset: int) -> None:
        """Called by the transport, on a thread of its own."""
        self._error, self._place = error, (partition, offset)
        self._event.set()

    def wait(self, until: float, timeout_s: float) -> tuple[int, int]:
        """(partition, offset) of the record; raises its error, or EnqueueTimeout."""
        if not self._event.wait(left_s(until)):
            raise late(timeout_s)
        if self._error is not None:
            raise self._error
        return self._place


class Tally:
    """Counts the reports of many jobs; remembers a bounded number of failures by index.

    Counting takes no lock: `next` of a counter is one step, so each report has a number of its
    own. The waiter takes one, too, once it has said how many there will be. The taker of the
    last number then knows that it is the last one.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self._taken = 0
        self._last = -1
        self._all = threading.Event()
        self._sent = 0
        self._refused = 0
        self._lock = threading.Lock()
        self._failed = 0
        self._failures: dict[int, Exception] = {}

    def sent(self, index: int) -> Done:
        """The job of that index is about to be sent; returns what its report is to be given to.

        Called by the thread that waits later.
        """
        self._sent += 1
        return partial(self._report, index)

    def unsent(self, index: int, error: Exception) -> None:
        """The job of that index was not taken after all: no report on it will come."""
        self._sent -= 1
        self.failed(index, error)

    def failed(self, index: int, error: Exception) -> None:
        """The job of that index was not sent; `error` says why. Called by the thread that sends."""
        self._refused += 1
        self._note(index, error)

    @property
    def asked(self) -> int:
        """Of how many jobs something is known, or will be: sent, or not taken."""
        return self._sent + self._refused

    def wait(self, timeout_s: float) -> None:
        """Until all are reported; gives up after `timeout_s` without any progress."""
        self._last = self._sent + 1
        self._take()
        before = -1
        while self._taken != before:
            before = self._taken
            if self._all.wait(timeout_s):
                return

    def check(self, ids: list[str]) -> None:
        """Raises EnqueuesFailed unless every job is acknowledged; only after `wait`."""
        failed = self.failures(ids)
        if failed is not None:
            raise failed

    def failures(self, ids: list[str]) -> EnqueuesFailed | None:
        """The failures among the jobs, or None; call it after `wait`."""
        unknown = 0 if self._all.is_set() else max(1, self._last - self._taken)
        with self._lock:
            if self._failed or unknown:
                return EnqueuesFailed(ids, dict(self._failures), self._failed, unknown)
        return None

    def _note(self, index: int, error: Exception) -> None:
        with self._lock:
            self._failed += 1
            if len(self._failures) < FAILURES_MAX:
                self._failures[index] = error

    def _report(self, index: int, error: Exception | None, _partition: int, _offset: int) -> None:
        if error is not None:
            self._note(index, of_job(error, "") if isinstance(error, EnqueueError) else error)
        self._take()

    def _take(self) -> None:
        self._taken = number = next(self._numbers)
        if number == self._last:
            self._all.set()


def left_s(until: float) -> float:
    """Seconds from now to the monotonic time `until`; 0 if it is over."""
    return max(0.0, until - time.monotonic())


def late(timeout_s: float) -> EnqueueTimeout:
    """The error of a caller whose wait is over."""
    return EnqueueTimeout(f"no acknowledgement within {timeout_s:g} s")


def unsent(timeout_s: float) -> EnqueueTimeout:
    """The same where the job was not handed to the client library yet, and will not be."""
    error = EnqueueTimeout(f"not sent within {timeout_s:g} s")
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
