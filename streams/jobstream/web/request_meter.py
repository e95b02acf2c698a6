"""Counts what the HTTP side answers, by route: rate, errors, duration.

Counted on the event loop, read by the thread of a scrape: whole numbers and finished tuples alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from jobstream.observe.metrics.web_entries import ANSWER_S
from jobstream_processors.histogram import Histogram

NO_ROUTE = "none"


class WebMeter:
    """The counts of one application."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        """(route, status) → requests."""
        self.durations: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(ANSWER_S))

    def take(self, route: str, status: int, took_s: float | None) -> None:
        """Count one request; without a time where it went on by intent."""
        self.requests[route, str(status)] += 1
        if took_s is not None:
            self.durations[route].fold([took_s])
