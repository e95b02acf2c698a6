"""Lag in records and in seconds, for queues and rungs, and how many dead letters are open.

Read from the log and the recorded offsets alone, so it holds when every worker is dead.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jobstream.operate.onlooker import Onlooker
from jobstream.operate.sight import PartitionLag
from jobstream_processors.core.orders import (
    CANCEL,
    DRAIN,
    HOLD_BREAKER,
    OPEN,
    PAUSE_QUEUE,
    Order,
)

if TYPE_CHECKING:
    from jobstream.operate.view import AppView

WINDOW_MS = 60_000
"""How much of a watch tells when a backlog will be gone."""


class Drain:
    """The lag of one queue over the last minute of a watch."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, int]] = deque()

    def take(self, at_ms: int, lag: int) -> float | None:
        """Seconds until nothing waits, if it goes on as since a minute ago.

        What comes in meanwhile is in that rate. None while the backlog does not shrink, and at the
        first look, which knows no rate yet; 0 when nothing waits. `at_ms` is monotonic.
        """
        self._seen.append((at_ms, lag))
        # One from before the window stays, so that slow watches have something to compare with.
        while len(self._seen) > 2 and self._seen[1][0] <= at_ms - WINDOW_MS:  # noqa: PLR2004
            self._seen.popleft()
        if not lag:
            return 0.0
        since_ms, before = self._seen[0]
        gone = before - lag
        return lag * (at_ms - since_ms) / gone / 1000 if gone > 0 else None


@dataclass(frozen=True, slots=True)
class QueueLag:
    """One queue: its partitions, those of its rungs, and its open dead letters."""

    queue: str
    partitions: tuple[PartitionLag, ...]
    open_letters: int
    drain_s: float | None
    """Seconds until the queue is caught up, by the looks of the last minute; None: not in sight."""
    looks: int
    """How many there were; one alone knows no rate."""
    orders: tuple[Order, ...] = ()
    """Control entries that may be why the queue waits."""

    @property
    def lag(self) -> int:
        """Records on the queue itself; what waits on its rungs is not due."""
        return sum(row.standing.lag for row in self.partitions if not row.rung)

    @property
    def overdue_s(self) -> float:
        """Of the worst partition, rungs included."""
        return max((row.overdue_s for row in self.partitions), default=0.0)


class Lag:
    """The same look as the exporter's, in the shape of a table. Used by one thread."""

    def __init__(self, view: AppView, queue: str | None = None) -> None:
        """Prepare for one queue, or for all of the app; nothing is asked yet."""
        self._onlooker = Onlooker(view)
        self._view = view
        self._queue = queue
        self._looks = 0
        self._drains: defaultdict[str, Drain] = defaultdict(Drain)

    def look(self) -> list[QueueLag]:
        """The lag now; blocks for some seconds at most. A later look reads only what is new."""
        self._looks += 1
        sight = self._onlooker.look(self._queue)
        orders = self._view.orders(self._onlooker.broker_ms)
        found = [
            QueueLag(
                queue=queue,
                partitions=tuple(row for row in sight.partitions if row.queue == queue),
                open_letters=sight.letters[queue].total,
                orders=tuple(entry for entry in orders if _may_hold(entry, queue)),
                drain_s=None,
                looks=self._looks,
            )
            for queue in sight.queues
        ]
        return [
            replace(each, drain_s=self._drains[each.queue].take(sight.taken_ms, each.lag))
            for each in found
        ]


def _may_hold(entry: Order, queue: str) -> bool:
    """Whether it may keep jobs of the queue waiting; which types stand there is not known here."""
    if entry.kind == HOLD_BREAKER:
        return bool(entry.limits.get(OPEN))
    if entry.kind == PAUSE_QUEUE:
        return entry.subject == queue
    return entry.kind not in {CANCEL, DRAIN}
