"""Which jobs of schedules have ended, by the rows that settle them.

A job's row stands in the partition of its own among the rows of its queue, and not before the
offset that was noted when the job was made. So each row is read once, from there on, and only while
a job is waited for. Rows expire: of a job that ran for longer than they live it is assumed that it
has ended, and said so.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobstream_processors.ports import Clock, Log, TopicPartition

log = logging.getLogger("jobstream.scheduler")

ROWS_AT_ONCE = 50_000
"""Rows of one partition that a look reads at most; the next one goes on."""
FRESH_MS = 1_000
"""How long the end of a partition counts as known."""
_ROW = b"job:"


class Ends:
    """Jobs whose end is waited for. Used by one thread; a look blocks while it reads."""

    def __init__(self, reader: Log, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._waiting: dict[TopicPartition, dict[str, int]] = {}
        """By place of the rows: the offset before which the row of each job is not."""
        self._next: dict[TopicPartition, int] = {}
        self._known: dict[TopicPartition, tuple[int, int]] = {}
        """The end of a partition, and when it was that."""

    @property
    def waits(self) -> bool:
        """Whether any job is waited for."""
        return bool(self._waiting)

    def floor(self, place: TopicPartition) -> int:
        """An offset before which no row of a job stands that is made from now on."""
        now_ms = self._clock.monotonic_ms()
        if place in self._waiting:
            return self._next[place]
        end, at_ms = self._known.get(place, (0, 0))
        if place not in self._known or now_ms - at_ms > FRESH_MS:
            end = self._reader.span(place)[1]
            self._known[place] = end, now_ms
        return end

    def watch(self, job_id: str, place: TopicPartition, floor: int) -> None:
        """Wait for the end of a job, whose row is not before `floor`."""
        waiting = self._waiting.setdefault(place, {})
        waiting[job_id] = floor
        self._next[place] = min(floor, self._next.get(place, floor))

    def forget(self, job_id: str, place: TopicPartition) -> None:
        """Wait for it no longer."""
        if job_id in (waiting := self._waiting.get(place, {})):
            del waiting[job_id]
        self._tidy(place)

    def has_ended(self, job_id: str, place: TopicPartition) -> bool:
        """Whether a look found its row; also of a job that nobody waits for."""
        return job_id not in self._waiting.get(place, ())

    def look(self) -> None:
        """Read the rows that came since; blocks for that."""
        for place in list(self._waiting):
            low, high = self._reader.span(place)
            start = self._next[place]
            if start < low:
                self._assume(place, low)
                start = low
            stop = min(high, start + ROWS_AT_ONCE)
            waiting = self._waiting[place]
            for batch in self._reader.read(place, start, stop):
                for record in batch:
                    key = record.key() or b""
                    if key.startswith(_ROW):
                        waiting.pop(key[len(_ROW) :].split(b":", 1)[0].decode(), None)
            self._next[place] = max(stop, start)
            self._tidy(place)

    def _assume(self, place: TopicPartition, low: int) -> None:
        """The row may have been among those that expired: then nobody will ever see it."""
        waiting = self._waiting[place]
        for job_id in [job_id for job_id, floor in waiting.items() if floor < low]:
            del waiting[job_id]
            log.warning("schedule_job_assumed_ended", extra={"job_id": job_id})

    def _tidy(self, place: TopicPartition) -> None:
        if not self._waiting.get(place):
            self._waiting.pop(place, None)
            self._next.pop(place, None)
