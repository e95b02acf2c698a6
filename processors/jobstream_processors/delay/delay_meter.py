"""What a delayer counts, on its own thread. Any thread may read it at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.ladder import RUNGS
from jobstream_processors.histogram import Histogram
from jobstream_processors.turn_meter import TurnMeter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream_processors.histogram import Edges
    from jobstream_processors.queue_plan import QueuePlan


class DelayMeter:
    """What a delayer counts."""

    __slots__ = ("_late", "hops", "late", "turn")

    def __init__(self, group: str, plans: Mapping[str, QueuePlan], edges: Edges) -> None:
        self.turn = TurnMeter(group)
        self.late = {name: Histogram(edges.late, 1_000) for name in plans}
        self.hops: dict[tuple[str, str, str], int] = {
            (name, rung, to): 0
            for name in plans
            for at, rung in enumerate(RUNGS)
            for to in (*RUNGS[:at], "queue")
        }
        """By queue, rung and where to."""
        self._late: dict[str, list[float]] = {name: [] for name in plans}

    def hopped(self, queue: str, rung: str, to: str | None, late_ms: int) -> None:
        """A record left `rung` for the rung `to`, the dead letters, or (None) its queue."""
        place = (queue, rung, to or "queue")
        self.hops[place] = self.hops.get(place, 0) + 1
        if to is None:
            self._late[queue].append(late_ms)

    def fold(self) -> None:
        """Show what came since the last fold."""
        for queue, late in self._late.items():
            if late:
                self.late[queue].fold(late)
                late.clear()
