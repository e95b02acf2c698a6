"""The jobs of one key that may run at once: who runs, who waits, and for about how long."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

WAIT_MS: Final = (50, 600_000)
"""The shortest and the longest wait that is told to a job: a guess may be far off."""
_WEIGHT: Final = 0.1
"""Of the last run in the mean."""

Job = TypeVar("Job")


class Slots(Generic[Job]):
    """The slots of one key. Its owner says how many there are, and the time."""

    __slots__ = ("_away", "blocked_ms", "running", "waiting")

    def __init__(self) -> None:
        self.running = 0
        self._away: list[int] = []
        """When those come back that were sent away until it may be their turn, the first first.

        Some never ask again: they are cancelled, expire, or wait for something else by then."""
        self.blocked_ms = 0
        """Nothing starts before that time."""
        self.waiting: dict[Job, None] = {}
        """Those that wait here, in their order."""

    def is_idle(self, now_ms: int) -> bool:
        """Whether it stands as if nothing had ever started."""
        return not (self.running or self.waiting) and self.blocked_ms <= now_ms

    def leaves(self, until_ms: int) -> None:
        """One is sent away, to come back then."""
        heappush(self._away, until_ms)

    def turn_ms(self, now_ms: int, slots: int, mean_ms: float) -> int:
        """When it may be the turn of one more that waits."""
        away = self._away
        while away and away[0] <= now_ms:
            heappop(away)
        ahead = len(self.waiting) + len(away) + 1
        low, high = WAIT_MS
        wait_ms = min(max(low, round(ahead * mean_ms / max(1, slots))), high)
        return max(now_ms + wait_ms, self.blocked_ms)


def mean_after(mean_ms: float, run_ms: float) -> float:
    """The mean run time after one run more."""
    return mean_ms + (run_ms - mean_ms) * _WEIGHT
