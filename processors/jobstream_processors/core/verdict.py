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

    def is_near(self, now_ms: int) -> bool:
        """Whether its turn comes within a moment."""
        return self.until_ms - now_ms <= MOMENT_MS
