"""Broker time as one can know it who only reads: this machine's clock, held between two bounds.

A record just read was stamped before it was read; one that was not there at the last look was
stamped after that look. Where records flow, the estimate is as good as the time between looks,
whatever this machine's clock says; where none do, that clock is all there is.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jobstream.kafka.clock import WINDOW_MS, monotonic_ms

if TYPE_CHECKING:
    from collections.abc import Callable


class OnlookerClock:
    """Broker time in milliseconds since the epoch. Used by one thread."""

    def __init__(
        self,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], int] = monotonic_ms,
    ) -> None:
        self._wall_ms = wall_ms
        self.monotonic_ms = monotonic
        """Milliseconds that also pass while the machine sleeps."""
        self._low: tuple[int, int] | None = None
        self._high: tuple[int, int] | None = None
        """(bound of broker minus monotonic time, when it was learnt)."""

    def broker_ms(self) -> int:
        """The estimate; never before the stamp of a record that was read in the last minutes."""
        now = self.monotonic_ms()
        ahead = self._wall_ms() - now
        # The lower bound comes last: brokers may disagree, and no record is from the future.
        if self._high is not None and now - self._high[1] < WINDOW_MS:
            ahead = min(ahead, self._high[0])
        if self._low is not None and now - self._low[1] < WINDOW_MS:
            ahead = max(ahead, self._low[0])
        return now + ahead

    def observe(self, append_ms: int, *, absent_at_ms: int | None) -> None:
        """Learn from a record just read, stamped `append_ms` by the broker.

        `absent_at_ms` is a monotonic time at which it was not in the log yet; None: not known.
        """
        now = self.monotonic_ms()
        low = append_ms - now
        if self._low is None or low >= self._low[0] or now - self._low[1] >= WINDOW_MS:
            self._low = (low, now)
        if absent_at_ms is None:
            return
        high = append_ms - absent_at_ms
        if self._high is None or high <= self._high[0] or now - self._high[1] >= WINDOW_MS:
            self._high = (high, now)
