"""What a scheduler counts, on its own thread. Any thread may read it at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jobstream_processors.histogram import Histogram
from jobstream_processors.turn_meter import TurnMeter

if TYPE_CHECKING:
    from collections.abc import Collection

    from jobstream_processors.histogram import Edges
    from jobstream_processors.schedule.timetable import OwnedSchedule

OUTCOMES = ("fired", "missed", "merged", "skipped")
SHOWN_MAX = 100
GONE_MS = 3_600_000
"""How long the counts of a schedule are shown that is not owned here any more, or was removed: as
they may come and go at run time, their names must not add up for as long as the process lives."""


class SchedulesNow(NamedTuple):
    """The schedules of one process, as they stand. Lists have SHOWN_MAX names at most."""

    paused: int = 0
    paused_names: tuple[str, ...] = ()
    broken: tuple[tuple[str, str, str], ...] = ()
    """Name, reason in a word, reason in a sentence."""
    next_ms: int | None = None
    """Broker time of the next tick that fires; None if none ever does."""


class ScheduleMeter:
    """What became of ticks, by schedule, and how late those were that fired."""

    __slots__ = ("_late", "_owned_ms", "broken", "late", "now", "owned", "ticks", "turn")

    def __init__(self, group: str, edges: Edges) -> None:
        self.turn = TurnMeter(group)
        self.ticks: dict[tuple[str, str], int] = {}
        """By schedule and outcome."""
        self._owned_ms: dict[str, int] = {}
        """When each of them was owned here last; broker time."""
        self.late = Histogram(edges.late, 1_000)
        self._late: list[float] = []
        self.broken: dict[tuple[str, str], int] = {}
        """Schedules that can't fire here, with the reason in a word."""
        self.owned = 0
        """Schedules of the partitions owned here."""
        self.now = SchedulesNow()

    def seen(self, schedule: str) -> None:
        """A schedule is owned here: all its counts are there from the start."""
        for outcome in OUTCOMES:
            self.ticks.setdefault((schedule, outcome), 0)

    def tell(self, owned: Collection[OwnedSchedule], now_ms: int, next_ms: int | None) -> None:
        """Show how the schedules stand that are owned here."""
        broken, paused = [], []
        for each in owned:
            name = each.scheduled.name
            self.seen(name)
            self._owned_ms[name] = now_ms
            if each.broken is not None:
                broken.append((name, each.broken.kind, str(each.broken)))
            if each.scheduled.is_paused(now_ms):
                paused.append(name)
        if len(self._owned_ms) > len(owned):
            self._forget(now_ms - GONE_MS)
        self.owned = len(owned)
        self.broken = {(name, kind): 1 for name, kind, _ in broken}
        self.now = SchedulesNow(
            len(paused),
            tuple(sorted(paused)[:SHOWN_MAX]),
            tuple(sorted(broken)[:SHOWN_MAX]),
            next_ms,
        )

    def _forget(self, before_ms: int) -> None:
        """Forget schedules that were owned here before that moment only."""
        gone = {name for name, owned_ms in self._owned_ms.items() if owned_ms < before_ms}
        for name in gone:
            del self._owned_ms[name]
        if gone:
            # Another thread may be reading the old one.
            self.ticks = {key: count for key, count in self.ticks.items() if key[0] not in gone}

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
