"""Lag in records and in seconds, for queues and rungs, and how many dead letters are open.

Read from the log and the recorded offsets alone, so it holds when every worker is dead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.inspect.onlooker import Onlooker
from jobstream.inspect.sight import PartitionLag
from jobstream_processors.core.control import CANCEL, PAUSE_QUEUE, Entry

if TYPE_CHECKING:
    from jobstream.inspect.view import AppView


@dataclass(frozen=True, slots=True)
class QueueLag:
    """One queue: its partitions, those of its rungs, and its open dead letters."""

    queue: str
    partitions: tuple[PartitionLag, ...]
    open_letters: int
    orders: tuple[Entry, ...] = ()
    """What operators told the workers that may be why it waits."""


class Lag:
    """The same look as the exporter's, in the shape of a table. Used by one thread."""

    def __init__(self, view: AppView, queue: str | None = None) -> None:
        """Prepare for one queue, or for all of the app; nothing is asked yet."""
        self._onlooker = Onlooker(view)
        self._view = view
        self._queue = queue

    def look(self) -> list[QueueLag]:
        """The lag now; blocks for some seconds at most. A later look reads only what is new."""
        sight = self._onlooker.look(self._queue)
        orders = self._view.orders()
        return [
            QueueLag(
                queue=queue,
                partitions=tuple(row for row in sight.partitions if row.queue == queue),
                open_letters=sight.letters[queue].total,
                orders=tuple(entry for entry in orders if _may_hold(entry, queue)),
            )
            for queue in sight.queues
        ]


def _may_hold(entry: Entry, queue: str) -> bool:
    """Whether it may keep jobs of the queue waiting; which types stand there is not known here."""
    return entry.subject == queue if entry.kind == PAUSE_QUEUE else entry.kind != CANCEL
