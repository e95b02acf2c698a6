"""How much one process takes up: jobs per partition, and jobs and bytes in all.

The feed asks before it polls, and pauses what is full.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.ports import Record


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

    def __init__(self, limits: Limits, is_late: Callable[[Lane], bool]) -> None:
        """`is_late`: whether what a lane settles waits for its brokers."""
        self.limits = limits
        self._is_late = is_late
        self._bytes_per_job = 1_000.0

    def weigh(self, records: Sequence[Record]) -> None:
        """Follow the size of a job by a sample: the byte bound need not be exact."""
        sample = records[:: max(1, len(records) // 16)]
        mean = sum(len(record.value() or b"") for record in sample) / len(sample)
        # Up at once, down slowly: the bound must hold when jobs grow.
        self._bytes_per_job = max(100.0, mean, 0.8 * self._bytes_per_job + 0.2 * mean)

    def room(self, lanes: Iterable[Lane]) -> int:
        """How many more records this process may take up, if it has those of `lanes`."""
        return self._most() - sum(lane.handed - lane.returned for lane in lanes)

    def full(self, lanes: Collection[Lane], were_full: Collection[Lane]) -> list[Lane]:
        """Those of `lanes`, which are all there are, of which no more is to be taken up now."""
        # Jobs of paused types, or without an acknowledgement: half of the room of the process stays
        # for those of others.
        share = self._most() // (2 * len(lanes)) if lanes else 0
        window, full = self.limits.window, []
        for lane in lanes:
            unfinished = lane.handed - lane.returned
            if (
                unfinished >= window
                or (unfinished > window * 0.7 and lane in were_full)
                or (unfinished >= share and self._is_late(lane))
                or (lane.aside and lane.aside >= share)
            ):
                full.append(lane)
        return full

    def _most(self) -> int:
        """How many jobs this process may hold."""
        return min(self.limits.handed_max, int(self.limits.bytes_max / self._bytes_per_job))
