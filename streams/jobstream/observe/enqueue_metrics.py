"""The enqueue counts of a service as metric families, read at each scrape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.observe.families import counter, histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.core import Metric

    from jobstream.enqueue.counts import Counts


class EnqueueCollector:
    """The job types of one app, each from its declaration on."""

    def __init__(self, counts: Callable[[], Iterable[Counts]]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        """Three families."""
        now = [((c.queue, c.job_type), *c.now()) for c in self._counts()]
        yield counter("jobs_enqueued_total", [(of, enqueued) for of, enqueued, _, _ in now])
        failures = [((*of, name), n) for of, _, errors, _ in now for name, n in errors.items()]
        yield counter("jobs_enqueue_failures_total", failures)
        yield histogram("jobs_enqueue_duration_seconds", [(of, *took) for of, _, _, took in now])
