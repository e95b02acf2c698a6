"""The counts of middlewares as a metric family, for the registry of a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.observe.families import counter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

    from jobstream.idempotency.request_counts import RequestCounts


class KeysCollector:
    """The family of one middleware, read at each scrape."""

    def __init__(self, counts: RequestCounts) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        """One family."""
        found = self._counts.now().items()
        yield counter(
            "jobs_idempotency_requests_total", [((outcome,), float(n)) for outcome, n in found]
        )
