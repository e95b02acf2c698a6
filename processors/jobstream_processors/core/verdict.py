"""What a rule says of a job that might begin: run, not before a time, or end without a run.

Run is None. A time is the brokers', in epoch milliseconds.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MOMENT_MS: Final = 2_000
"""What can begin within so long waits in memory. What can't leaves for the delay ladder, so that
the window stays free for others."""


class NotBefore(NamedTuple):
    """The job may not begin before that time; then it is asked about again."""

    reason: str
    until_ms: int
    stays: bool = False
    """It waits in memory, and the gate releases it: the time is but when to look whether it did."""
    own: bool = False
    """It is the time that the enqueue named, and no window cuts it."""

    def is_near(self, now_ms: int) -> bool:
        """Whether it waits in memory: its turn comes within a moment, or may at any time."""
        return self.stays or self.until_ms - now_ms <= MOMENT_MS
