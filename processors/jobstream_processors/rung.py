"""One assigned partition of a rung: its records in order, which may leave, and which may not yet.

A rung with a fixed delay is first in, first out: only the head matters, and a record behind it
can't be due earlier. The "0s" rung is read at once into a heap ordered by due time. Pure of I/O.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from jobstream_processors.core.headers import FIRST, BadHeaders, Trip, headers_of, parse
from jobstream_processors.core.ladder import EXACT, RUNG_MS, Wait, next_stop, wait_on

if TYPE_CHECKING:
    from jobstream_processors.core.watermark import Watermark
    from jobstream_processors.ports import Record, TopicPartition
    from jobstream_processors.queues import QueuePlan

BUFFER_MAX = 1_000
"""Records kept of one partition of a rung with a delay; more stay in the log until some left."""
BUFFER_BYTES_MAX = 1024 * 1024
"""Bytes of jobs in them."""
HEAP_BYTES_MAX = 32 * 1024 * 1024
"""Bytes of jobs kept of one "0s" partition."""


class Waiting(NamedTuple):
    """A record on a rung. Ordered by when it may leave, then by offset."""

    leaves_ms: int
    offset: int
    wait: Wait
    trip: Trip
    record: Record
    trouble: str


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a record goes now: another rung, the queue (None), or the dead letters."""

    waiting: Waiting
    rung: str | None
    trip: Trip


class Rung:
    """State of one rung partition during one assignment."""

    def __init__(self, plan: QueuePlan, name: str, source: TopicPartition) -> None:
        self.plan = plan
        self.name = name
        self.source = source
        self.topic_id = ""
        self.watermark: Watermark
        self.hold_until_ms = 0
        """Monotonic: the broker's clock is suspect, nothing leaves before."""
        self.refetch: int | None = None
        """Offset from which records were dropped again for want of room."""
        self.bytes = 0
        self._line: deque[Waiting] = deque()
        self._heap: list[Waiting] = []

    def __len__(self) -> int:
        """Records kept in memory."""
        return len(self._line) + len(self._heap)

    @property
    def is_full(self) -> bool:
        """Whether no more records are to be taken up now."""
        if self.name == EXACT:
            return self.bytes >= HEAP_BYTES_MAX
        return len(self._line) >= BUFFER_MAX or self.bytes >= BUFFER_BYTES_MAX

    @property
    def has_room(self) -> bool:
        """Whether a full rung takes up records again: not for each one that leaves."""
        if self.name == EXACT:
            return self.bytes <= HEAP_BYTES_MAX // 2
        return len(self._line) <= BUFFER_MAX // 2 and self.bytes <= BUFFER_BYTES_MAX // 2

    def take(self, record: Record) -> None:
        """Take up a record; it is dropped and remembered as `refetch` where there is no room."""
        offset = record.offset()
        assert offset is not None, "consumed records have an offset"  # noqa: S101
        if self.refetch is not None and offset >= self.refetch:
            return
        if self.is_full:
            self.refetch = offset
            return
        if not self.watermark.begin(offset):
            return
        waiting = self._read(record, offset)
        self.bytes += len(record.value() or b"")
        if self.name == EXACT:
            heapq.heappush(self._heap, waiting)
        else:
            self._line.append(waiting)

    def next_ms(self) -> int | None:
        """Broker time at which the next record may leave; None if there is none."""
        if self._heap:
            return self._heap[0].leaves_ms
        return self._line[0].leaves_ms if self._line else None

    def leave(self, now_ms: int, limit: int) -> list[Hop]:
        """At most `limit` records that may leave at broker time `now_ms`."""
        hops: list[Hop] = []
        while len(hops) < limit and (due := self.next_ms()) is not None and due <= now_ms:
            waiting = heapq.heappop(self._heap) if self._heap else self._line.popleft()
            self.bytes -= len(waiting.record.value() or b"")
            hops.append(self._hop(waiting, now_ms))
        return hops

    def put_back(self, hops: list[Hop]) -> None:
        """Keep records whose hop was not acknowledged, in their old places."""
        for hop in reversed(hops):
            self.bytes += len(hop.waiting.record.value() or b"")
            if self.name == EXACT:
                heapq.heappush(self._heap, hop.waiting)
            else:
                self._line.appendleft(hop.waiting)

    def is_spinning(self, hop: Hop) -> bool:
        """Whether the hop shortened the wait by less than half the rung: a clock is wrong."""
        left_before = hop.waiting.trip.delay_ms
        if self.name == EXACT or left_before is None or hop.rung is None:
            return False
        left_now = hop.trip.delay_ms or 0
        return left_before - left_now < RUNG_MS[self.name] // 2

    def _read(self, record: Record, offset: int) -> Waiting:
        appended = record.timestamp()[1]
        try:
            trip = parse(headers_of(record))
            if trip.partition is not None and trip.partition >= self.plan.partitions:
                message = f"header js-partition={trip.partition}: {self.plan.name} has fewer"
                raise BadHeaders(message)  # noqa: TRY301 - one place turns it into trouble
        except BadHeaders as error:
            wait = Wait(EXACT, appended, appended)
            return Waiting(appended, offset, wait, FIRST, record, str(error))
        wait = wait_on(self.name, appended, trip.due_ms, trip.delay_ms)
        return Waiting(wait.leaves_ms, offset, wait, trip, record, "")

    def _hop(self, waiting: Waiting, now_ms: int) -> Hop:
        if waiting.trouble:
            return Hop(waiting, None, waiting.trip)
        due = waiting.wait.due_ms
        rung = next_stop(waiting.wait, now_ms)
        left = max(0, due - now_ms)
        return Hop(waiting, rung, replace(waiting.trip, due_ms=due, delay_ms=left))
