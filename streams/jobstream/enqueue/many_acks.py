"""Waits for the acknowledgements of many records, and counts those that failed."""

from __future__ import annotations

import threading
import time
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from jobstream.enqueue.acks import left_s, of_job
from jobstream.errors import EnqueueError, EnqueuesFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Lock

    from jobstream.enqueue.acks import Done

FAILURES_MAX = 100
"""Failures of one `enqueue_many` that are kept; the others are only counted."""


class Tally:
    """Counts the reports of many jobs; remembers a bounded number of failures by index.

    Counting takes no lock: `next` of a counter is one step, so each report has a number of its
    own. The waiter takes one, too, once it has said how many there will be. The taker of the
    last number then knows that it is the last one.
    """

    def __init__(self, serve: Callable[[Lock, float], None]) -> None:
        """`serve` is the transport's: the one that waits serves reports meanwhile."""
        self._serve = serve
        self._numbers = count(1)
        self._taken = 0
        self._last = -1
        self._pending = threading.Lock()
        """Held until all are reported."""
        self._pending.acquire()
        self._is_whole = False
        """Whether all are reported."""
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
            until = time.monotonic() + timeout_s
            self._serve(self._pending, until)
            if self._pending.acquire(timeout=left_s(until)):
                return

    def check(self, ids: list[str]) -> None:
        """Raises EnqueuesFailed unless every job is acknowledged; only after `wait`."""
        failed = self.failures(ids)
        if failed is not None:
            raise failed

    def failures(self, ids: list[str]) -> EnqueuesFailed | None:
        """The failures among the jobs, or None; call it after `wait`."""
        unknown = 0 if self._is_whole else max(1, self._last - self._taken)
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
            self._is_whole = True
            self._pending.release()
