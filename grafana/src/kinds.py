"""What boards are made of: kinds of queries, kinds of panels, and rows of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grafana.src.expressions import quantile, rate
from grafana.src.panel import GOOD, At, Figure, Graph, Query, Step

if TYPE_CHECKING:
    from grafana.src.panel import Color, Panel, Unit

COLUMNS = 24


def grid(first: At, *panels: Panel) -> tuple[Panel, ...]:
    """Panels of the size of the first, from the left to the right, in as many rows as they need."""
    found = []
    for number, panel in enumerate(panels):
        row, column = divmod(number, COLUMNS // first.w)
        at = At(column * first.w, first.y + row * first.h, first.w, first.h)
        found.append(replace(panel, at=at))
    return tuple(found)


def by(labels: str, expr: str, *, dashed: bool = False) -> Query:
    """An expression whose series are named by these labels."""
    return Query(expr, " ".join(f"{{{{{label}}}}}" for label in labels.split(", ")), dashed)


def totals(metric: str, selector: str, labels: str) -> Query:
    """The sum of a gauge for each combination of the labels."""
    return by(labels, f"sum by ({labels}) ({metric}{{{selector}}})")


def highest(metric: str, selector: str, labels: str) -> Query:
    """The highest value of a gauge for each combination of the labels."""
    return by(labels, f"max by ({labels}) ({metric}{{{selector}}})")


def rates(metric: str, selector: str, labels: str) -> Query:
    """Events a second of a counter for each combination of the labels."""
    return by(labels, rate(metric, selector, labels))


def percentiles(share: float, metric: str, selector: str, label: str) -> Query:
    """The quantile of a histogram for each value of the label."""
    return by(label, quantile(share, metric, selector, label))


def graph(key: str, title: str, meaning: str, unit: Unit, *queries: Query, **more: Any) -> Graph:  # noqa: ANN401 - other fields of it
    """Lines over time."""
    return Graph(key, title, meaning, unit, queries=queries, **more)


def figure(key: str, title: str, meaning: str, unit: Unit, *queries: Query, **more: Any) -> Figure:  # noqa: ANN401 - other fields of it
    """One number per series."""
    return Figure(key, title, meaning, unit, queries=queries, **more)


def count(key: str, title: str, meaning: str, expr: str, color: Color, **more: Any) -> Figure:  # noqa: ANN401 - other fields of it
    """How many there are of what should not be: coloured from 1 on."""
    return figure(key, title, meaning, "none", Query(expr), steps=(GOOD, Step(1, color)), **more)
