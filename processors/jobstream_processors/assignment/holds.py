"""Which lanes are paused in the client, for which reasons. Used by the thread that polls.

The client forgets or keeps pauses across rebalances by its own rules, so the reasons are ours, and
a new lane has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.assignment.lane import NOT_IN_LOG

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.ports import Source

OPERATOR, QUIET, LEAVING, NO_ROOM, WINDOW = "operator", "quiet", "leaving", "no_room", "window"
REASONS = (OPERATOR, QUIET, LEAVING, NO_ROOM, WINDOW, NOT_IN_LOG)


class Holds:
    """The lanes held back for each reason; a lane is paused while there is one."""

    def __init__(self) -> None:
        self._held: dict[str, frozenset[Lane]] = dict.fromkeys(REASONS, frozenset())

    def of(self, lane: Lane) -> list[str]:
        """Why it is paused. Safe from any thread."""
        return [reason for reason, held in self._held.items() if lane in held]

    def held(self, reason: str) -> frozenset[Lane]:
        """The lanes that are paused for this reason."""
        return self._held[reason]

    def put(self, source: Source, reason: str, lanes: Collection[Lane]) -> None:
        """Exactly `lanes` are paused for `reason` from now on; one with no reason left resumes."""
        before = self._held[reason]
        if not before and not lanes:
            return
        now = frozenset(lanes)
        if now == before:
            return
        pause = [lane.source for lane in now - before if not self.of(lane)]
        self._held[reason] = now
        resume = [lane.source for lane in before - now if not self.of(lane)]
        if pause:
            source.pause(pause)
        if resume:
            source.resume(resume)

    def forget(self, lanes: Iterable[Lane]) -> None:
        """These have gone."""
        gone = frozenset(lanes)
        for reason, held in self._held.items():
            if not held.isdisjoint(gone):
                self._held[reason] = held - gone
