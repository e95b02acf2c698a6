"""Counts the enqueues of a service by job type: acknowledged, failed, and their durations.

Any thread that enqueues writes these plain numbers, and any thread may read them. `App.metrics`
gives them to the metrics library.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobstream.errors import EnqueuesFailed, JobstreamError
from jobstream_processors.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jobstream_processors.histogram import Shown

EDGES_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
UNFOLDED_MAX = 1_000
"""Durations kept before they are folded into buckets, if no scrape comes."""
OTHER = "other"
"""The class of an error that is none of ours: a name from outside must not become a label."""


class Counts:
    """The numbers of one job type on one queue. Safe to use from any thread."""

    def __init__(self, queue: str, job_type: str, edges: Sequence[float] = EDGES_S) -> None:
        self.queue = queue
        self.job_type = job_type
        self._lock = threading.Lock()
        self._enqueued = 0
        self._failures: dict[str, int] = {}
        self._took = Histogram(edges)
        self.took_s: list[float] = []
        """Durations of acknowledged enqueues: a client appends each, and folds UNFOLDED_MAX."""

    def many(self, count: int, failed: EnqueuesFailed | None = None) -> None:
        """Count an `enqueue_many` of that many jobs, with what failed of them."""
        if failed is None:
            self._add(count, {})
            return
        errors: dict[str, int] = {}
        for error in failed.failures.values():
            errors[_class_of(error)] = errors.get(_class_of(error), 0) + 1
        untold = failed.failed - len(failed.failures)
        for name, number in ((OTHER, untold), ("EnqueueTimeout", failed.unknown)):
            if number > 0:
                errors[name] = errors.get(name, 0) + number
        self._add(count - failed.failed - failed.unknown, errors)

    def failed(self, error: BaseException) -> None:
        """Count an enqueue that raised."""
        self._add(0, {_class_of(error): 1})

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Count an error of the block as a failed enqueue."""
        try:
            yield
        except BaseException as error:
            self.failed(error)
            raise

    def fold(self) -> None:
        """Count what `took_s` has, and empty it."""
        with self._lock:
            self._fold()

    def now(self) -> tuple[int, Mapping[str, int], Shown]:
        """(acknowledged, failures by class of the error, durations), all of one moment."""
        with self._lock:
            self._fold()
            return self._enqueued, dict(self._failures), self._took.shown

    def _add(self, enqueued: int, errors: Mapping[str, int]) -> None:
        with self._lock:
            self._enqueued += enqueued
            for name, number in errors.items():
                self._failures[name] = self._failures.get(name, 0) + number

    def _fold(self) -> None:
        # The list stays the same: other threads append to its end meanwhile.
        taken = self.took_s[:]
        del self.took_s[: len(taken)]
        self._enqueued += len(taken)
        if taken:
            self._took.fold(taken)


def _class_of(error: BaseException) -> str:
    return type(error).__name__ if isinstance(error, JobstreamError) else OTHER
