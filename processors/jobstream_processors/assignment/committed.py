"""Step 13: commit watermarks as far as they are mirrored, forward only, once per interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.ports import Position
from jobstream_processors.topic_marks import in_topic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.ports import Clock, Source


class Committed:
    """Commits the lanes of one process. Used by the thread that polls."""

    def __init__(self, clock: Clock, interval_ms: int) -> None:
        self._clock = clock
        self._interval_ms = interval_ms
        self._next_ms = 0

    def is_due(self) -> bool:
        """Whether an interval has passed since this was true last."""
        now_ms = self._clock.monotonic_ms()
        if now_ms < self._next_ms:
            return False
        self._next_ms = now_ms + self._interval_ms
        return True

    def commit(self, source: Source, lanes: Iterable[Lane]) -> None:
        """Commit those that moved; returns at once."""
        moved = [lane for lane in lanes if lane.mirrored > lane.committed]
        if not moved:
            return
        places = [(lane, Position(lane.mirrored)) for lane in moved]
        told = {lane.source: in_topic(place, lane.topic_id) for lane, place in places}
        source.commit(told, wait=False)
        for lane, place in places:
            lane.committed = place.offset
