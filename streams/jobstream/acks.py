"""Waiting for acknowledgements: of one record, or of many, with their failures counted.

It sends nothing. Reports come in on the transport's thread, the caller waits on its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from jobstream.errors import EnqueuesFailed, EnqueueTimeout

Done = Callable[[Exception | None, int, int], None]
"""Called with (error, partition, offset) once a record is acknowledged or given up."""

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

    def wait(self, until: float, what: str, timeout_s: float) -> tuple[int, int]:
        """(partition, offset) of the record; raises its error, or EnqueueTimeout naming `what`."""
        if not self._event.wait(left_s(until)):
            raise late(what, timeout_s)
        if self._error is not None:
            raise self._error
        return self._place


class Tally:
    """Counts acknowledgements of many; remembers a bounded number of failures by index."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._open = 0
        self._acked = 0
        self._failed = 0
        self._failures: dict[int, Exception] = {}

    def sent(self) -> None:
        """One more job is to be waited for."""
        with self._lock:
            self._open += 1

    def waiter(self, index: int) -> Done:
        """What the transport is to call when the job of that index is reported on."""
        return lambda error, _partition, _offset: self.done(index, error)

    def done(self, index: int, error: Exception | None) -> None:
        """The job of that index is reported on."""
        with self._lock:
            self._open -= 1
            self._acked += 1
            if error is not None:
                self._failed += 1
                if len(self._failures) < FAILURES_MAX:
                    self._failures[index] = error
            if not self._open:
                self._lock.notify_all()

    def wait(self, timeout_s: float) -> None:
        """Until all are reported; gives up after `timeout_s` without any progress."""
        with self._lock:
            while self._open:
                before = self._acked
                if not self._lock.wait(timeout_s) and self._acked == before:
                    return

    def check(self, ids: list[str]) -> None:
        """Raises EnqueuesFailed unless every job is acknowledged."""
        with self._lock:
            if self._failed or self._open:
                raise EnqueuesFailed(ids, dict(self._failures), self._failed, self._open)


def left_s(until: float) -> float:
    """Seconds from now to the monotonic time `until`; 0 if it is over."""
    return max(0.0, until - time.monotonic())


def late(what: str, timeout_s: float) -> EnqueueTimeout:
    """The error of a caller whose wait is over."""
    message = (
        f"{what}: no acknowledgement within {timeout_s:g} s; the job may still be written. "
        "Repeating it with the same idempotency_key is safe"
    )
    return EnqueueTimeout(message)
