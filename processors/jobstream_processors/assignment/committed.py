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
    """What the group has committed of each lane. Used by the thread that polls."""

    def __init__(self, clock: Clock, interval_ms: int) -> None:
        self._clock = clock
        self._interval_ms = interval_ms
        self._next_ms = 0
        self._committed: dict[Lane, int] = {}

    def begin(self, lane: Lane, committed: Position | None) -> None:
        """A lane is served. A mirror may be ahead of what its group has."""
        self._committed[lane] = committed.offset if committed is not None else -1

    def forget(self, lanes: Iterable[Lane]) -> None:
        """These have gone."""
        for lane in lanes:
            self._committed.pop(lane, None)

    def is_due(self) -> bool:
        """Whether an interval has passed since this was true last."""
        now_ms = self._clock.monotonic_ms()
        if now_ms < self._next_ms:
            return False
        self._next_ms = now_ms + self._interval_ms
        return True

    def commit(self, source: Source) -> None:
        """Commit those that moved; returns at once."""
        moved = [lane for lane, at in self._committed.items() if lane.mirrored > at]
        if not moved:
            return
        places = [(lane, Position(lane.mirrored)) for lane in moved]
        told = {lane.source: in_topic(place, lane.topic_id) for lane, place in places}
        source.commit(told, wait=False)
        self._committed.update((lane, place.offset) for lane, place in places)
