"""When a backlog will be gone, by how it shrank while somebody watched. Pure."""

from __future__ import annotations

from collections import deque

WINDOW_MS = 60_000


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
