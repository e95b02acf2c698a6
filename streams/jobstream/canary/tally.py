"""Counts what probes brought, and shows it as the `jobs_canary_*` metrics of the catalogue."""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobstream.canary.probing import ENQUEUE, TIMEOUT
from jobstream.observe.families import counter, gauge, histogram
from jobstream.observe.metrics import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.core import Metric

    from jobstream.canary.probing import Probed

EDGES = BY_NAME["jobs_canary_round_trip_seconds"].buckets


@dataclass(slots=True)
class _Queue:
    last_success: float
    sent: int = 0
    failures: dict[str, int] = field(default_factory=lambda: {ENQUEUE: 0, TIMEOUT: 0})
    counts: list[int] = field(default_factory=lambda: [0] * (len(EDGES) + 1))
    seconds: float = 0.0


class ProbeTally:
    """A collector for prometheus_client. Safe to use from several threads."""

    def __init__(self, queues: Iterable[str], now: float) -> None:
        """Series of these queues begin at 0, and their last success at `now`, in epoch seconds."""
        self._lock = threading.Lock()
        self._queues = {name: _Queue(now) for name in queues}

    def take(self, probed: Probed, now: float) -> None:
        """Count one probe that ended at `now`, in epoch seconds."""
        with self._lock:
            queue = self._queues[probed.queue]
            if probed.failure != ENQUEUE:
                queue.sent += 1
            if probed.failure:
                queue.failures[probed.failure] = queue.failures.get(probed.failure, 0) + 1
                return
            queue.counts[bisect_left(EDGES, probed.seconds)] += 1
            queue.seconds += probed.seconds
            queue.last_success = now

    def last_success(self) -> dict[str, float]:
        """When each queue's canary was last seen done, in epoch seconds; the start until then."""
        with self._lock:
            return {name: queue.last_success for name, queue in self._queues.items()}

    def collect(self) -> Iterator[Metric]:
        """The four families, consistent with each other."""
        with self._lock:
            of = list(self._queues.items())
            sent = [((name,), float(queue.sent)) for name, queue in of]
            failures = [
                ((name, why), float(n)) for name, queue in of for why, n in queue.failures.items()
            ]
            trips = [((name,), tuple(queue.counts), queue.seconds) for name, queue in of]
            last = [((name,), queue.last_success) for name, queue in of]
        yield counter("jobs_canary_sent_total", sent)
        yield counter("jobs_canary_failures_total", failures)
        yield histogram("jobs_canary_round_trip_seconds", trips)
        yield gauge("jobs_canary_last_success_timestamp_seconds", last)
