"""The metrics of one application over HTTP, for a scrape. It counts nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

    from jobstream.web.desk import Desk


class WebCollector:
    """The families of one application, for a scrape."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def collect(self) -> Iterable[Metric]:
        """Four families, of the catalogue."""
        from jobstream.observe.families import counter, gauge, histogram  # noqa: PLC0415 - extra

        desk, meter = self._desk, self._desk.meter
        yield counter(
            "jobs_http_requests_total", [(at, float(n)) for at, n in list(meter.requests.items())]
        )
        yield histogram(
            "jobs_http_request_duration_seconds",
            [((route,), *found.shown) for route, found in list(meter.durations.items())],
        )
        yield gauge(
            "jobs_http_waiting",
            [(("job",), float(desk.waiters)), (("stream",), float(len(desk.feed)))],
        )
        age_s = desk.site.look.age_s
        yield gauge("jobs_http_source_age_seconds", [] if age_s is None else [((), age_s)])
