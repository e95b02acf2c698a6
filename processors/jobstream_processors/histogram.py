"""Counts of values per bucket: one thread folds many at a time, any may read."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

Shown = tuple[tuple[int, ...], float]
"""Counts per bucket, one more than edges, and the sum of the values."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Upper edges of the buckets, in seconds but for `attempts`; the edge itself is inside."""

    run: Sequence[float]
    wait: Sequence[float]
    attempts: Sequence[float]
    late: Sequence[float]


class Histogram:
    """Counts of values per bucket. One thread folds; `shown` may be read from any."""

    __slots__ = ("_counts", "_edges", "_sum", "_unit", "shown")

    def __init__(self, edges: Sequence[float], unit: float = 1.0) -> None:
        self._edges = [edge * unit for edge in edges]
        self._unit = unit
        """How many of the values' units make one of the edges'."""
        self._counts = [0] * (len(edges) + 1)
        self._sum = 0.0
        self.shown: Shown = (tuple(self._counts), 0.0)

    def fold(self, values: list[float]) -> None:
        """Add `values`, which are sorted in place; those below zero count as zero.

        Many at a time: a search per edge, or none where all lie in one bucket, costs far less than
        one per value.
        """
        low, high = min(values), max(values)
        at = bisect_left(self._edges, low)
        if at == bisect_left(self._edges, high):
            self._counts[at] += len(values)
        else:
            values.sort()
            below = 0
            for index, edge in enumerate(self._edges):
                upto = bisect_right(values, edge, below)
                self._counts[index] += upto - below
                below = upto
            self._counts[-1] += len(values) - below
        if low < 0:
            values = [value for value in values if value > 0]
        self._sum += sum(values) / self._unit
        self.shown = (tuple(self._counts), self._sum)
