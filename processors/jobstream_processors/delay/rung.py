"""One assigned partition of a rung: its records by when they may leave, and which may not yet.

Whatever the client delivered is kept: nothing is dropped, so nothing has to be fetched again. The
bound holds by pausing, one poll late. Pure of I/O.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from jobstream_processors.core.headers import FIRST, Carried, headers_of, parse
from jobstream_processors.core.ladder import EXACT, RUNG_MS, Wait, next_stop, wait_on
from jobstream_processors.delay.group_member import HeldPartition
from jobstream_processors.errors import BadHeaders

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from jobstream_processors.ports import Record, TopicPartition
    from jobstream_processors.queue_plan import QueuePlan

RECORDS_MAX = 1_000
"""Records kept of one partition of a rung with a delay before it is paused."""
BYTES_MAX = 1024 * 1024
"""Bytes of jobs in them."""
EXACT_BYTES_MAX = 32 * 1024 * 1024
"""Bytes of jobs kept of one "0s" partition: it is read far ahead, to find what is due next."""
EXACT_RECORDS_MAX = 100_000
PROCESS_BYTES_MAX = 128 * 1024 * 1024
"""Bytes of jobs that all rungs of a process may keep: half for "0s" ones, half for the others."""
ROOM_BYTES_MIN = 64 * 1024


class Room(NamedTuple):
    """What one partition of a rung may keep in memory before it is paused."""

    records: int
    bytes: int


class Waiting(NamedTuple):
    """A record on a rung. Ordered by when it may leave, then by offset."""

    leaves_ms: int
    offset: int
    wait: Wait
    carried: Carried
    record: Record
    trouble: str
    traced: int = 0
    """Bytes of its traceback, which stands in the record alone while it waits."""
    suspected: bool = False
    """It was kept back once for a clock that is wrong; the next time it leaves."""

    @property
    def size(self) -> int:
        """Bytes of its job, and of the traceback that goes along."""
        return len(self.record.value() or b"") + self.traced


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a record goes now: another rung, the queue (None), or the dead letters."""

    waiting: Waiting
    rung: str | None
    carried: Carried


def share_room(rungs: Collection[Rung]) -> None:
    """Give each of `rungs`, which are all of one process, its room."""
    exact = sum(rung.name == EXACT for rung in rungs)
    for rung in rungs:
        is_exact = rung.name == EXACT
        share = PROCESS_BYTES_MAX // 2 // (exact if is_exact else len(rungs) - exact)
        own = Room(EXACT_RECORDS_MAX, EXACT_BYTES_MAX) if is_exact else Room(RECORDS_MAX, BYTES_MAX)
        rung.room = own._replace(bytes=max(ROOM_BYTES_MIN, min(own.bytes, share)))


class Rung(HeldPartition):
    """State of one rung partition during one assignment."""

    def __init__(self, plan: QueuePlan, name: str, source: TopicPartition) -> None:
        super().__init__(source)
        self.plan = plan
        self.name = name
        self.room: Room
        self.bytes = 0
        self._heap: list[Waiting] = []

    def __len__(self) -> int:
        """Records kept in memory."""
        return len(self._heap)

    def is_full(self) -> bool:
        """Whether no more records are to be fetched now."""
        return len(self._heap) >= self.room.records or self.bytes >= self.room.bytes

    def has_room(self) -> bool:
        """Whether a rung that was full is fetched again: not for each record that leaves."""
        return len(self._heap) <= self.room.records // 2 and self.bytes <= self.room.bytes // 2

    def keep(self, record: Record, offset: int) -> None:
        """Keep a record by when it may leave."""
        self._keep(self._read(record, offset))

    def next_ms(self) -> int | None:
        """Broker time at which the next record may leave; None if there is none."""
        return self._heap[0].leaves_ms if self._heap else None

    def leave(self, now_ms: int, limit: int) -> list[Hop]:
        """At most `limit` records that may leave at broker time `now_ms`."""
        hops: list[Hop] = []
        while len(hops) < limit and (due := self.next_ms()) is not None and due <= now_ms:
            waiting = heapq.heappop(self._heap)
            self.bytes -= waiting.size
            hop = self._hop(waiting, now_ms)
            if hop.rung == self.name == EXACT:
                self._keep(waiting._replace(leaves_ms=waiting.wait.due_ms))
            else:
                hops.append(hop)
        return hops

    def put_back(self, hops: Iterable[Hop], until_ms: int, *, suspected: bool = False) -> None:
        """Keep records that may not leave after all, or whose hop was not acknowledged.

        They may leave at broker time `until_ms`; others of the rung go on.
        """
        for hop in hops:
            again = suspected or hop.waiting.suspected
            self._keep(hop.waiting._replace(leaves_ms=until_ms, suspected=again))

    def _keep(self, waiting: Waiting) -> None:
        self.bytes += waiting.size
        heapq.heappush(self._heap, waiting)

    def is_spinning(self, hop: Hop) -> bool:
        """Whether the hop shortened the wait by less than half the rung: a clock is wrong.

        Or its headers are. So a record is kept back for that once only, and alone.
        """
        left_before = hop.waiting.carried.delay_ms
        if hop.waiting.suspected or self.name == EXACT or left_before is None or hop.rung is None:
            return False
        left_now = hop.carried.delay_ms or 0
        return left_before - left_now < RUNG_MS[self.name] // 2

    def _read(self, record: Record, offset: int) -> Waiting:
        appended = record.timestamp()[1]
        try:
            carried = parse(headers_of(record))
            if carried.partition is not None and carried.partition >= self.plan.partitions:
                message = f"header js-partition={carried.partition}: {self.plan.name} has fewer"
                raise BadHeaders(message)  # noqa: TRY301 - one place turns it into trouble
        except BadHeaders as error:
            wait = Wait(EXACT, appended, appended)
            return Waiting(appended, offset, wait, FIRST, record, str(error))
        wait = wait_on(self.name, appended, carried.due_ms, carried.delay_ms)
        traced = len(carried.traceback)
        if traced:
            carried = replace(carried, traceback="")
        return Waiting(wait.leaves_ms, offset, wait, carried, record, "", traced)

    def _hop(self, waiting: Waiting, now_ms: int) -> Hop:
        if waiting.trouble:
            return Hop(waiting, None, waiting.carried)
        due = waiting.wait.due_ms
        rung = next_stop(waiting.wait, now_ms)
        left, carried = max(0, due - now_ms), waiting.carried
        first = carried.enqueued_ms if carried.enqueued_ms is not None else waiting.wait.appended_ms
        return Hop(waiting, rung, replace(carried, due_ms=due, delay_ms=left, enqueued_ms=first))
