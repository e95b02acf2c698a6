"""How many jobs of a queue wait for the same thing, and since when."""

from __future__ import annotations

from typing import Final, NamedTuple


class Waiters(NamedTuple):
    """Jobs of one queue that wait for the same."""

    jobs: int
    since_ms: int
    """Broker time: since when the first of them waits for it, hops on the ladder included; or
    since it came to the queue, where it never left for this reason. 0 if there are none."""


class WaitingJob(NamedTuple):
    """One job that waits in memory."""

    job_id: str
    queue: str
    reason: str
    since_ms: int
    """As of `Waiters`."""


NOBODY: Final = Waiters(0, 0)
