"""What a scheduler counts, on its own thread. Any thread may read it at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.histogram import Histogram
from jobstream_processors.turn_meter import TurnMeter

if TYPE_CHECKING:
    from jobstream_processors.histogram import Edges

OUTCOMES = ("fired", "missed", "merged", "skipped")


class ScheduleMeter:
    """What became of ticks, by schedule, and how late those were that fired."""

    __slots__ = ("_late", "broken", "late", "owned", "ticks", "turn")

    def __init__(self, group: str, edges: Edges) -> None:
        self.turn = TurnMeter(group)
        self.ticks: dict[tuple[str, str], int] = {}
        """By schedule and outcome."""
        self.late = Histogram(edges.late, 1_000)
        self._late: list[float] = []
        self.broken: dict[tuple[str, str], int] = {}
        """Schedules that can't fire here, with the reason in a word."""
        self.owned = 0
        """Schedules of the partitions owned here."""

    def seen(self, schedule: str) -> None:
        """A schedule is owned here: all its counts are there from the start."""
        for outcome in OUTCOMES:
            self.ticks.setdefault((schedule, outcome), 0)

    def count(self, schedule: str, outcome: str, ticks: int) -> None:
        """So many ticks of a schedule came to this."""
        self.ticks[schedule, outcome] = self.ticks.get((schedule, outcome), 0) + ticks

    def was_late(self, late_ms: int) -> None:
        """A tick on time was acknowledged so long after its moment."""
        self._late.append(max(0, late_ms))

    def fold(self) -> None:
        """Show what came since the last fold."""
        if self._late:
            self.late.fold(self._late)
            self._late.clear()
