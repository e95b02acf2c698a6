"""Log lines about the partitions of a worker: one line for all that moved at once.

Each partition by itself is logged at debug level only. Used by the thread that polls.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobstream_processors.assignment.phases import DETECT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from jobstream_processors.assignment.lane import Arrival, Assigned, Lane
    from jobstream_processors.ports import TopicPartition

log = logging.getLogger("jobstream.worker")


def by_topic(partitions: Iterable[TopicPartition]) -> dict[str, list[int]]:
    """The numbers of partitions by topic, both in order, as every log line has them."""
    found: dict[str, list[int]] = {}
    for topic, partition in sorted(partitions):
        found.setdefault(topic, []).append(partition)
    return found


class Serving:
    """Logs when all that is assigned here of a queue is served; calls `ready` when all is."""

    def __init__(self, ready: Callable[[], object] | None = None) -> None:
        self._ready = ready
        self._seconds: dict[str, float] = {}
        """Queues with served partitions that were not logged yet, and their longest take-over."""

    @staticmethod
    def assigned(partitions: Iterable[TopicPartition]) -> None:
        """The group gave these to this worker; they are served once they are restored."""
        log.info("partitions_assigned", extra={"partitions": by_topic(partitions)})

    @staticmethod
    def given_back(partitions: Collection[TopicPartition]) -> None:
        """These were committed as handed over cleanly; there may be none."""
        if partitions:
            log.info("partitions_revoked", extra={"partitions": by_topic(partitions)})

    @staticmethod
    def lost(gone: Iterable[Assigned]) -> None:
        """Other processes own these already."""
        told = by_topic(each.source for each in gone)
        log.warning("partitions_lost", extra={"partitions": told})

    @staticmethod
    def cleared(lanes: Iterable[Lane]) -> None:
        """Look which of these have no suspect left."""
        for lane in lanes:
            if lane.phases.isolating and lane.mirrored >= lane.suspect_before:
                log.debug("suspects_ended", extra=lane.phases.cleared(lane.source))

    def started(self, lane: Lane, offset: int) -> None:
        """Jobs of this partition can run now, from `offset` on."""
        phases = lane.phases.served()
        told = {"partition": lane.source, "offset": offset, "phases": phases}
        log.debug("partition_served", extra=told)
        longest = self._seconds.get(lane.queue, 0.0)
        # An idle owner says nothing: its silence is not the time that its death took to be seen.
        since_assigned = sum(phases.values()) - phases.get(DETECT, 0.0)
        self._seconds[lane.queue] = max(longest, since_assigned)

    def tell(self, arrivals: Iterable[Arrival], lanes: Collection[Lane]) -> None:
        """Log which queues are served, but for those of which something is to come."""
        if not self._seconds:
            return
        coming = {arrival.queue for arrival in arrivals if not arrival.refused}
        for queue in sorted(self._seconds.keys() - coming):
            served = by_topic(lane.source for lane in lanes if lane.queue == queue)
            told = {"queue": queue, "partitions": served}
            log.info("queue_served", extra=told | {"seconds": round(self._seconds.pop(queue), 3)})
        if not coming and self._ready is not None:
            self._ready()
