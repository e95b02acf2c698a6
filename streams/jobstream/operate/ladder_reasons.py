"""Estimates what the jobs on the delay ladder wait for, and since when, from a bounded sample.

Their copies say it in a header. The sample is made anew once a minute at most: on a ladder
something moves all the time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from jobstream.operate.backlog import Backlog
from jobstream.operate.scan import carried_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobstream.operate.backlog import Read, Spans
    from jobstream_processors.core.headers import Carried
    from jobstream_processors.ports import Record, TopicPartition

EVERY_S = 60.0
RETRY, LATER, UNREADABLE = "retry", "later", "other"
"""It failed and is tried again; it is to run at a time; its headers can't be read."""


class LadderWait(NamedTuple):
    """Jobs of one queue that wait on its ladder for the same."""

    jobs: float
    """About how many."""
    since_ms: int
    """Since when the first of the sample has waited for it, by the broker."""


def reason_of(carried: Carried) -> str:
    """What a copy on a rung waits for, in one word."""
    if carried.reason == "bad_headers":
        return UNREADABLE
    return carried.waits or (RETRY if carried.first_failed_ms is not None else LATER)


class LadderReasons:
    """The estimate. Used by one thread."""

    def __init__(self, read: Read, now_s: Callable[[], float] = time.monotonic) -> None:
        """`read` yields the records of given ranges."""
        self._now_s = now_s
        self._sample = Backlog(read, self._named, UNREADABLE)
        self._queues: Mapping[TopicPartition, str] = {}
        self._since: dict[tuple[str, str], int] = {}
        self._look_at_s = 0.0
        self._last: dict[tuple[str, str], LadderWait] = {}

    def look(
        self, queues: Mapping[TopicPartition, str], backlog: Spans
    ) -> Mapping[tuple[str, str], LadderWait]:
        """(queue, reason) → what waits; `queues` names the queue of each partition of a rung.

        `backlog` is (first waiting offset, end) where something waits. Blocks while it samples.
        """
        if self._now_s() < self._look_at_s:
            return self._last
        self._queues, self._since = queues, {}
        found = self._sample.look(queues, backlog)
        if self._since or not found:
            self._last = {
                at: LadderWait(jobs, self._since.get(at, 0)) for at, jobs in found.items()
            }
        self._look_at_s = self._now_s() + EVERY_S
        return self._last

    def _named(self, record: Record) -> str:
        carried, append_ms = carried_of(record), record.timestamp()[1]
        reason = reason_of(carried)
        since_ms = carried.waits_since_ms if carried.waits else carried.first_failed_ms
        at = self._queues[record.topic() or "", record.partition() or 0], reason
        since_ms = append_ms if since_ms is None else since_ms
        self._since[at] = min(self._since.get(at, since_ms), since_ms)
        return reason
