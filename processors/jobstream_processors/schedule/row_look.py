"""Looks for the rows of jobs, on a thread of its own: a look takes longer than a tick may be late.

It knows no schedule. Without a thread, as in memory, a look is over when it is asked for.
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


class RowLook:
    """One look at a time. `ask` and `answer` belong to one thread."""

    def __init__(
        self, reader: Log, failed: Callable[[BaseException], object] | None = None
    ) -> None:
        """With `failed`, which hears of the thread's end by an error, on a thread."""
        self._reader = reader
        self._asked: queue.SimpleQueue[Mapping[TopicPartition, RowsAsked] | None] = (
            queue.SimpleQueue()
        )
        self._answers: queue.SimpleQueue[Mapping[TopicPartition, RowsSeen]] = queue.SimpleQueue()
        self._aside = failed is not None
        self.is_busy = False
        """A look is asked for, and its answer was not taken."""
        if failed is not None:
            in_background(THREAD, self._serve, failed)

    def ask(self, wanted: Mapping[TopicPartition, RowsAsked]) -> None:
        """Begin a look; not while another one is on its way."""
        self.is_busy = True
        if self._aside:
            self._asked.put(wanted)
        else:
            self._answers.put(self._look(wanted))

    def answer(self) -> Mapping[TopicPartition, RowsSeen] | None:
        """What the look has found, once; None while it goes on, or if none was asked for."""
        try:
            found = self._answers.get_nowait()
        except queue.Empty:
            return None
        self.is_busy = False
        return found

    def close(self) -> None:
        """End the thread; a look that goes on is not waited for."""
        self._asked.put(None)

    def _serve(self) -> None:
        while (wanted := self._asked.get()) is not None:
            try:
                found = self._look(wanted)
            except Exception as error:  # noqa: BLE001 - the next look tries again
                log.warning("schedule_rows_unread", extra={"reason": str(error)})
                found = {}
            self._answers.put(found)

    def _look(
        self, wanted: Mapping[TopicPartition, RowsAsked]
    ) -> Mapping[TopicPartition, RowsSeen]:
        return {place: self._read(place, asked) for place, asked in wanted.items()}

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
