"""Where the time of a take-over goes, from the death of the last owner to the last suspect's end.

Each phase follows the one before it, so what they sum up to is how long a partition stood still.
They are logged once, when the partition is served, and counted.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jobstream_processors.turn_meter import PHASES

if TYPE_CHECKING:
    from jobstream_processors.ports import TopicPartition
    from jobstream_processors.turn_meter import TakeoverMeter

DETECT, ASK, QUEUE, PLACE, CLAIM, RESTORE, ANNOUNCE, START, SUSPECTS = PHASES


class Phases:
    """The seconds of one take-over, by phase. Handed from thread to thread, never shared."""

    __slots__ = ("_mark", "_meter", "_queue", "isolating", "seconds")

    def __init__(self, began: float, queue: str = "", meter: TakeoverMeter | None = None) -> None:
        """`began` is when the assignment was heard of, by `perf_counter`."""
        self._mark = time.perf_counter()
        self._queue, self._meter = queue, meter
        self.seconds = {ASK: self._mark - began}
        self.isolating = False
        """Whether suspects of the last owner have not all ended yet."""

    def spent(self, phase: str) -> None:
        """The time since the last call went into `phase`."""
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._mark
        self._mark = now

    def served(self) -> dict[str, float]:
        """Jobs can run now: count the phases; returns them for the log."""
        self.spent(START)
        if self._meter is not None:
            self._meter.count(self._queue, self.seconds)
        return {phase: round(seconds, 3) for phase, seconds in self.seconds.items()}

    def cleared(self, partition: TopicPartition) -> dict[str, object]:
        """The last suspect has ended: count that; returns it for the log."""
        self.isolating = False
        seconds = time.perf_counter() - self._mark
        if self._meter is not None:
            self._meter.count(self._queue, {SUSPECTS: seconds})
        return {"partition": partition, "seconds": round(seconds, 3)}
