"""Looks for the rows of jobs, on threads of its own: a look takes longer than a tick may be late.

Each partition of rows is looked at by itself: one whose leader is away keeps a thread for half a
minute, and holds up no other. It knows no schedule. Without threads, as in memory, a look is over
when it is asked for.
"""

from __future__ import annotations

import logging
import queue
from typing import TYPE_CHECKING, NamedTuple

from jobstream_processors.background import in_background

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobstream_processors.ports import Log, TopicPartition

log = logging.getLogger("jobstream.scheduler")

ROWS_AT_ONCE = 50_000
"""Rows of one partition that a look reads at most; the next one goes on."""
REST_MS, REST_MS_MAX = 500, 30_000
"""How long a partition is left alone after looks that failed, at first and at most."""
SLOW_MS = 2_000
"""If looks wait for a thread and none has ended for so long, there is to be one thread more."""
THREADS_MAX = 8
FAILING_MAX = 4
"""Partitions looked at at once whose last look failed: the other threads are for the others."""
_ROW = b"job:"
THREAD = "jobstream-schedule-rows"


class LogOffset(NamedTuple):
    """An offset, and the log that it is of: a topic that is made anew begins again at 0."""

    topic_id: str = ""
    """Empty where the broker has none, or none was noted."""
    offset: int = 0

    def is_of(self, topic_id: str, end: int) -> bool:
        """Whether it may be an offset of the log of that id, which ends there."""
        is_other = self.topic_id and topic_id and self.topic_id != topic_id
        return self.offset <= end and not is_other

    def or_before(self, other: LogOffset) -> LogOffset:
        """The lower one; the start of whatever log there is if they are of two."""
        return min(self, other) if self.topic_id == other.topic_id else LogOffset()


class RowsAsked(NamedTuple):
    """What is to be read of a partition: rows of these jobs, from an offset on."""

    start: LogOffset = LogOffset()
    job_ids: frozenset[str] = frozenset()


class RowsSeen(NamedTuple):
    """What was read of a partition."""

    topic_id: str
    first: int
    """The first offset that is kept."""
    end: int
    read_to: int
    wanted: frozenset[str]
    ended: frozenset[str]


class RowAnswer(NamedTuple):
    """An answer: where a look was, when it was asked for, and what it has found."""

    place: TopicPartition
    asked_ms: int
    seen: RowsSeen


class _Rest(NamedTuple):
    """After a look that failed."""

    until_ms: int
    length_ms: int


class RowLook:
    """Looks, one at a time for each partition. `ask` and `answers` belong to one thread."""

    def __init__(
        self, reader: Log, failed: Callable[[BaseException], object] | None = None
    ) -> None:
        """With `failed`, which hears of the end of a thread by an error, on threads."""
        self._reader = reader
        self._failed = failed
        self._line: queue.SimpleQueue[tuple[TopicPartition, RowsAsked] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[TopicPartition, RowsSeen | None]] = (
            queue.SimpleQueue()
        )
        self._asked_ms: dict[TopicPartition, int] = {}
        """Partitions that are looked at, and since when; monotonic."""
        self._rests: dict[TopicPartition, _Rest] = {}
        """Those whose last look failed."""
        self._ended_ms = 0
        """When a look ended last, or began while there was no other."""
        self._threads = 0
        if failed is not None:
            self._begin_thread(failed)

    def ask(self, wanted: Mapping[TopicPartition, RowsAsked], now_ms: int) -> None:
        """Begin a look at each, unless one is on its way there or the last one just failed."""
        # Of those that failed, the one first that has waited longest: all get their turns.
        for place in sorted(wanted, key=lambda at: self._rests.get(at, _Rest(0, 0)).until_ms):
            if not self._may_begin(place, now_ms):
                continue
            if not self._asked_ms:
                self._ended_ms = now_ms
            self._asked_ms[place] = now_ms
            if self._failed is None:
                self._answers.put((place, self._look(place, wanted[place])))
            else:
                self._line.put((place, wanted[place]))
        is_slow = len(self._asked_ms) > self._threads and now_ms - self._ended_ms > SLOW_MS
        if self._failed is not None and is_slow and self._threads < THREADS_MAX:
            self._ended_ms = now_ms
            self._begin_thread(self._failed)

    def answers(self, now_ms: int) -> list[RowAnswer]:
        """What looks have found since the last call; those that failed are tried again later."""
        found: list[RowAnswer] = []
        while True:
            try:
                place, seen = self._answers.get_nowait()
            except queue.Empty:
                return found
            self._ended_ms = now_ms
            asked_ms = self._asked_ms.pop(place)
            if seen is not None:
                self._rests.pop(place, None)
                found.append(RowAnswer(place, asked_ms, seen))
                continue
            before = self._rests.get(place)
            length_ms = min(2 * before.length_ms, REST_MS_MAX) if before is not None else REST_MS
            self._rests[place] = _Rest(now_ms + length_ms, length_ms)

    def close(self) -> None:
        """End the threads; a look that goes on is not waited for."""
        for _ in range(self._threads):
            self._line.put(None)

    def _may_begin(self, place: TopicPartition, now_ms: int) -> bool:
        if place in self._asked_ms:
            return False
        rest = self._rests.get(place)
        if rest is None:
            return True
        failing = sum(other in self._rests for other in self._asked_ms)
        return now_ms >= rest.until_ms and failing < FAILING_MAX

    def _begin_thread(self, failed: Callable[[BaseException], object]) -> None:
        self._threads += 1
        in_background(THREAD, self._serve, failed)

    def _serve(self) -> None:
        while (asked := self._line.get()) is not None:
            place, wanted = asked
            self._answers.put((place, self._look(place, wanted)))

    def _look(self, place: TopicPartition, asked: RowsAsked) -> RowsSeen | None:
        try:
            return self._read(place, asked)
        except Exception as error:  # noqa: BLE001 - a later look tries again
            told = {"topic": place[0], "partition": place[1], "reason": str(error)}
            log.warning("schedule_rows_unread", extra=told)
            return None

    def _read(self, place: TopicPartition, asked: RowsAsked) -> RowsSeen:
        # In this order: a topic that is made anew in between is noticed at a later look.
        topic_id = self._reader.known_id(place[0]) or self._reader.topic_id(place[0])
        first, end = self._reader.span(place)
        if not asked.job_ids:
            return RowsSeen(topic_id, first, end, end, asked.job_ids, frozenset())
        ended = set[str]()
        is_here = asked.start.is_of(topic_id, end)
        start = max(first, asked.start.offset) if is_here else first
        stop = min(end, start + ROWS_AT_ONCE)
        for batch in self._reader.read(place, start, stop):
            for record in batch:
                key = record.key() or b""
                if key.startswith(_ROW):
                    ended.add(key[len(_ROW) :].split(b":", 1)[0].decode(errors="replace"))
        ended &= asked.job_ids
        read_to = max(start, stop)
        return RowsSeen(topic_id, first, end, read_to, asked.job_ids, frozenset(ended))
