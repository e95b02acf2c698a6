"""Counts what waits in memory, by queue and reason, and since when. Others look at what it counted.

The event loop's thread counts, about once a second, and any thread may read what it counted last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.who_waits import NOBODY, Waiters, WaitingJob

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.waiting import Reason
    from jobstream_processors.ports import Clock

SAID = {"type_paused": "paused"}
"""How the words of the engine are told, where two of them mean one thing to an operator."""


JOBS_MAX = 1_000


class Census:
    """What one process counted last. Written by the event loop's thread."""

    def __init__(self) -> None:
        self.found: Mapping[tuple[str, str], Waiters] = {}
        """(queue, reason) → who waits; what was seen once stays, with nobody."""
        self.jobs: tuple[WaitingJob, ...] = ()
        """Some of them, JOBS_MAX at most: a look at one job asks for it."""

    def take(self, waiting: Iterable[tuple[Delivery, Reason]], clock: Clock) -> None:
        """Count anew. Costs a microsecond for each delivery that waits, and nothing else."""
        counted: dict[tuple[str, str], Waiters] = {}
        jobs: list[WaitingJob] = []
        broker_ms = clock.broker_ms()
        ahead_ms = broker_ms - clock.awake_s() * 1_000
        for delivery, reason in waiting:
            at = delivery.lane.queue, SAID.get(reason, reason)
            carried = delivery.carried
            since = carried.waits_since_ms if carried.waits == reason else None
            since_ms = round(delivery.appended + ahead_ms) if since is None else since
            if len(jobs) < JOBS_MAX:
                jobs.append(WaitingJob(delivery.id, *at, since_ms))
            known = counted.get(at)
            if known is None:
                counted[at] = Waiters(1, since_ms)
            else:
                counted[at] = Waiters(known.jobs + 1, min(known.since_ms, since_ms))
        if counted or self.found:
            self.jobs = tuple(jobs)
            self.found = {**dict.fromkeys(self.found, NOBODY), **counted}
