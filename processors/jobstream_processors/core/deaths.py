"""The flood guard: a run of handler deaths stops a partition before it empties into dead letters.

After `limit` deaths in a row nothing starts for a pause that doubles up to a cap; then one job is
let through as a probe. A job that ends as its handler wanted clears the count. What says nothing
about the handlers' health does neither: garbage (undecodable, unknown type), a failure that will be
retried, the death of a child process that is only counted yet, a job that never ran.
"""

from __future__ import annotations

FLOOD = "flood"
"""Why a partition is held, in one word."""
LIMIT = 100
PAUSE_MS_FIRST = 5_000
PAUSE_MS_MAX = 300_000


class FloodGuard:
    """Consecutive handler deaths of one partition. Times are monotonic milliseconds."""

    __slots__ = ("_limit", "_pause_ms", "_probing", "deaths", "until_ms")

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._pause_ms = PAUSE_MS_FIRST
        self._probing = False
        self.deaths = 0
        self.until_ms: int | None = None
        """While set, nothing starts before that time."""

    @property
    def is_open(self) -> bool:
        """Whether jobs may start freely."""
        return self.until_ms is None and not self._probing

    def died(self, now_ms: int) -> bool:
        """Count a death; True if the partition is to be held from now on."""
        self.deaths += 1
        if self._probing:
            self._probing = False
            self._pause_ms = min(self._pause_ms * 2, PAUSE_MS_MAX)
        elif self.deaths < self._limit or self.until_ms is not None:
            return False
        self.until_ms = now_ms + self._pause_ms
        return True

    def unproved(self, now_ms: int, *, failed: bool) -> None:
        """The probe ended and says nothing: another may be made, after the pause if it failed."""
        if self._probing:
            self._probing = False
            self.until_ms = now_ms + (self._pause_ms if failed else 0)

    def lived(self) -> bool:
        """Count an end that the handler wanted; True if that opens a held partition."""
        held = not self.is_open
        self.deaths = 0
        self._pause_ms = PAUSE_MS_FIRST
        self._probing = False
        self.until_ms = None
        return held

    def may_probe(self, now_ms: int) -> bool:
        """Whether one job may start now as a probe; a True is used up by it."""
        if self._probing or self.until_ms is None or now_ms < self.until_ms:
            return False
        self.until_ms = None
        self._probing = True
        return True
