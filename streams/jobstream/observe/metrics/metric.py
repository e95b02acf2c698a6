"""The shape of a metric, and the bucket edges that several share."""

from __future__ import annotations

from typing import Literal, NamedTuple

from jobstream_processors.histogram import Edges

Kind = Literal["counter", "gauge", "histogram"]
Role = Literal[
    "producer",
    "worker",
    "delayer",
    "scheduler",
    "exporter",
    "canary",
    "relay",
    "views",
    "web",
    "service",
    "every role",
]

RUN_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
WAIT_S = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 30.0, 60.0, 120.0),
    *(300.0, 900.0, 3_600.0, 14_400.0, 86_400.0),
)
ATTEMPTS = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 25.0)
LATE_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0)
EDGES = Edges(run=RUN_S, wait=WAIT_S, attempts=ATTEMPTS, late=LATE_S)
"""For the meters that count into them, which need no metrics library."""


class Metric(NamedTuple):
    """One metric. The unit is in the name: `_seconds`, `_bytes`, `_records`, `_total`, `_ratio`."""

    name: str
    kind: Kind
    role: Role
    labels: tuple[str, ...]
    meaning: str
    buckets: tuple[float, ...] = ()


BY_TYPE = ("queue", "job_type")
PLACE = ("group", "topic", "partition", "queue", "tier")
