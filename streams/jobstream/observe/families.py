"""Metric families of prometheus_client, made from the catalogue: no other names, labels or buckets.

A family is made anew for each scrape and thrown away; no value is kept here. Families made by hand
have no `_created` series beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from jobstream.observe.metrics import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jobstream.observe.metrics import Metric

    Values = Iterable[tuple[tuple[str, ...], float]]


def counter(name: str, values: Values) -> CounterMetricFamily:
    """The counter `name` with a value for each tuple of label values, in the catalogue's order."""
    metric = _of_kind(name, "counter")
    family = CounterMetricFamily(name, metric.meaning, labels=metric.labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def gauge(name: str, values: Values) -> GaugeMetricFamily:
    """The gauge `name` with a value for each tuple of label values."""
    metric = _of_kind(name, "gauge")
    family = GaugeMetricFamily(name, metric.meaning, labels=metric.labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def histogram(
    name: str, values: Iterable[tuple[tuple[str, ...], Sequence[int], float]]
) -> HistogramMetricFamily:
    """The histogram `name`, of (labels, counts per bucket, sum of what was observed).

    Counts are not summed up, and there is one more than edges: for what lies beyond the last.
    """
    metric = _of_kind(name, "histogram")
    family = HistogramMetricFamily(name, metric.meaning, labels=metric.labels)
    edges = [*(str(edge) for edge in metric.buckets), "+Inf"]
    for labels, counts, total in values:
        buckets, reached = [], 0
        for edge, count in zip(edges, counts, strict=True):
            reached += count
            buckets.append((edge, float(reached)))
        family.add_metric(labels, buckets, total)
    return family


def _of_kind(name: str, kind: str) -> Metric:
    metric = BY_NAME[name]
    assert metric.kind == kind, f"{name} is a {metric.kind} in the catalogue"  # noqa: S101
    return metric
