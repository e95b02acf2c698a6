"""What a projection tells Prometheus: numbers that its threads have counted anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.observe.families import counter, gauge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from jobstream.views.projection import Projection
    from jobstream.views.upkeep import Upkeep


class ViewsMetrics:
    """Collected at each scrape; asks nobody."""

    def __init__(self, projection: Projection, upkeep: Upkeep) -> None:
        self._projection = projection
        self._upkeep = upkeep

    def collect(self) -> Iterator[Metric]:
        """One family each."""
        projection, upkeep = self._projection, self._upkeep
        yield gauge("jobs_views_behind_seconds", [((), upkeep.behind_s)])
        yield gauge("jobs_views_behind_records", [((), upkeep.behind_records)])
        yield counter("jobs_views_folded_records_total", [((), projection.folded)])
        yield counter("jobs_views_transactions_total", [((), projection.batches)])
        yield counter("jobs_views_write_seconds_total", [((), projection.write_s)])
        yield gauge("jobs_views_stalled", [((), float(projection.troubles.is_database))])
        yield counter("jobs_views_look_failures_total", [((), upkeep.failures)])
