"""The enqueue counts of a service as metric families, read at each scrape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.observe.families import counter, gauge, histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.core import Metric

    from jobstream.enqueue.counts import Counts
    from jobstream.enqueue.door import Door


class EnqueueCollector:
    """The job types of one app, each from its declaration on."""

    def __init__(
        self, counts: Callable[[], Iterable[Counts]], doors: Callable[[], Iterable[Door]]
    ) -> None:
        self._counts = counts
        self._doors = doors

    def collect(self) -> Iterable[Metric]:
        """Three families, and two of queues with bounds."""
        now = [((c.queue, c.job_type), *c.now()) for c in self._counts()]
        yield counter("jobs_enqueued_total", [(of, enqueued) for of, enqueued, _, _ in now])
        failures = [((*of, name), n) for of, _, errors, _ in now for name, n in errors.items()]
        yield counter("jobs_enqueue_failures_total", failures)
        yield histogram("jobs_enqueue_duration_seconds", [(of, *took) for of, _, _, took in now])
        doors = list(self._doors())
        beyond = [
            ((door.plan.name, bound, "refuse" if door.bounds.refuses else "warn"), count)
            for door in doors
            for bound, count in door.counts.items()
        ]
        yield counter("jobs_enqueues_over_bound_total", beyond)
        blind = [((door.plan.name,), int(door.is_blind)) for door in doors]
        yield gauge("jobs_back_pressure_blind", blind)
