"""How much one process takes up: jobs per partition, and jobs and bytes in all.

The feed asks before it polls, and pauses what is full. Where several queues are served, half of the
room is for whichever comes first, and each queue has an equal part of the other half to itself: so
a queue of which very many jobs wait here never keeps another from being read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.ports import Record

EASED = 0.7
"""What was full is taken up again when so much of it is left: each pause costs a fetch."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one process takes up."""

    window: int = 10_000
    """Unfinished jobs per partition."""
    handed_max: int = 20_000
    """Unfinished jobs per process."""
    bytes_max: int = 64 * 1024 * 1024
    """Bytes of unfinished jobs per process."""
    commit_ms: int = 1_000
    drain_ms: int = 25_000
    """How long jobs that run may go on once the process is to leave."""
    rebalance_drain_ms: int = 60_000
    """How long jobs of a partition that moves to another process may go on."""
    rebalance_ms: int = 300_000
    """How long the group waits for a partition that is to be given back."""


class Pressure:
    """What is taken up, held against the limits. Used by the thread that polls."""

    def __init__(self, limits: Limits, is_late: Callable[[Lane], bool], queues: int = 1) -> None:
        """`is_late`: whether what a lane settles waits for its brokers."""
        self.limits = limits
        self._is_late = is_late
        self._queues = queues
        self._bytes_per_job = 1_000.0
        self.crowds: Collection[str] = ()
        """Queues that have used up what all share, as of the last look at the room; others have
        room."""

    def weigh(self, records: Sequence[Record]) -> None:
        """Follow the size of a job by a sample: the byte bound need not be exact."""
        sample = records[:: max(1, len(records) // 16)]
        mean = sum(len(record.value() or b"") for record in sample) / len(sample)
        # Up at once, down slowly: the bound must hold when jobs grow.
        self._bytes_per_job = max(100.0, mean, 0.8 * self._bytes_per_job + 0.2 * mean)

    def room(self, lanes: Iterable[Lane]) -> int:
        """How many more records this process may take up, if it has those of `lanes`."""
        most = self._most()
        if self._queues < 2:  # noqa: PLR2004 - one has all the room
            return most - sum(lane.handed - lane.returned for lane in lanes)
        taken: dict[str, int] = {}
        for lane in lanes:
            taken[lane.queue] = taken.get(lane.queue, 0) + lane.handed - lane.returned
        return min(most - sum(taken.values()), self._shared(taken, most))

    def _shared(self, taken: dict[str, int], most: int) -> int:
        """How much is left of what all queues share; if nothing is, see who has used it up.

        Then those are to be paused, and the others have room up to what is their own.
        """
        own = most // (2 * self._queues)
        shared = most - own * self._queues
        used = sum(jobs - own for jobs in taken.values() if jobs > own)
        if used >= shared or (self.crowds and used > shared * EASED):
            self.crowds = [queue for queue, jobs in taken.items() if jobs > own]
            return most
        self.crowds = ()
        return shared - used

    def full(self, lanes: Collection[Lane], were_full: Collection[Lane]) -> list[Lane]:
        """Those of `lanes`, which are all there are, of which no more is to be taken up now."""
        # Jobs of paused types, or without an acknowledgement: half of the room of the process stays
        # for those of others.
        share = self._most() // (2 * len(lanes)) if lanes else 0
        window, crowds, full = self.limits.window, self.crowds, []
        for lane in lanes:
            unfinished = lane.handed - lane.returned
            if (
                unfinished >= window
                or (unfinished > window * EASED and lane in were_full)
                or (crowds and lane.queue in crowds)
                or (unfinished >= share and self._is_late(lane))
                or (lane.aside and lane.aside >= share)
            ):
                full.append(lane)
        return full

    def _most(self) -> int:
        """How many jobs this process may hold."""
        return min(self.limits.handed_max, int(self.limits.bytes_max / self._bytes_per_job))
