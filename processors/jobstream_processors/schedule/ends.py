"""Which jobs of schedules have ended, by the rows that settle them.

A job's row stands in the partition of its own among the rows of its queue, and not before the
offset that was noted when the job was made. So each row is read once, from there on, and only while
a job is waited for. Where its row may be among those that are gone, nobody will ever see it: they
expire while a job runs for longer than they live, and a topic that is deleted and made again has
none of before. Then it is assumed that the job has ended, and said so. Reading is `row_look.py`'s;
here is what is known.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobstream_processors.schedule.row_look import LogOffset, RowsAsked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream_processors.ports import TopicPartition
    from jobstream_processors.schedule.row_look import RowAnswer, RowsSeen

log = logging.getLogger("jobstream.scheduler")


class Ends:
    """Jobs whose end is waited for. Used by one thread."""

    def __init__(self) -> None:
        self._waiting: dict[TopicPartition, dict[str, LogOffset]] = {}
        """By place of the rows: the offset before which the row of each job is not."""
        self._next: dict[TopicPartition, LogOffset] = {}
        """Where the next look goes on."""
        self._known: dict[TopicPartition, LogOffset | None] = {}
        """An end of each partition that was met here: it may have grown since. None: not yet."""
        self._looked_ms: dict[TopicPartition, int] = {}
        """When the last look began that has read to the end; monotonic."""

    @property
    def waits(self) -> bool:
        """Whether any job is waited for."""
        return bool(self._waiting)

    def floor(self, place: TopicPartition) -> LogOffset | None:
        """An offset before which no row of a job stands that is made from now on.

        None for a place that is met first, until a look at it has answered.
        """
        return self._known.setdefault(place, None)

    def watch(self, job_id: str, place: TopicPartition, floor: LogOffset) -> None:
        """Wait for the end of a job, whose row is not before `floor`."""
        waiting = self._waiting.setdefault(place, {})
        waiting[job_id] = floor
        self._next[place] = floor.or_before(self._next.get(place, floor))

    def forget(self, job_id: str, place: TopicPartition) -> None:
        """Wait for it no longer."""
        self._waiting.get(place, {}).pop(job_id, None)
        self._tidy(place)

    def has_ended(self, job_id: str, place: TopicPartition) -> bool:
        """Whether a look found its row; also of a job that nobody waits for."""
        return job_id not in self._waiting.get(place, ())

    def looked_ms(self, place: TopicPartition) -> int:
        """When the last look began that told all of that place, monotonic; -1 if none did."""
        return self._looked_ms.get(place, -1)

    def asked(self, *places: TopicPartition) -> Mapping[TopicPartition, RowsAsked]:
        """What a look is to read now of these places, or of all that were met."""
        wanted = places or (*self._known, *self._waiting)
        return {place: self._asked_of(place) for place in wanted}

    def _asked_of(self, place: TopicPartition) -> RowsAsked:
        waiting = self._waiting.get(place)
        return RowsAsked(self._next[place], frozenset(waiting)) if waiting else RowsAsked()

    def learn(self, looked: RowAnswer) -> None:
        """What a look has read."""
        place, asked_ms, seen = looked
        self._known[place] = LogOffset(seen.topic_id, seen.end)
        if seen.read_to >= seen.end:
            self._looked_ms[place] = asked_ms
        waiting = self._waiting.get(place)
        if waiting is None:
            return
        for job_id in seen.ended:
            waiting.pop(job_id, None)
        self._assume(waiting, seen)
        following = LogOffset(seen.topic_id, seen.read_to)
        for job_id, floor in waiting.items():
            # The row of a job that was watched meanwhile may stand before that.
            if job_id not in seen.wanted:
                following = following.or_before(floor)
        self._next[place] = following
        self._tidy(place)

    @staticmethod
    def _assume(waiting: dict[str, LogOffset], seen: RowsSeen) -> None:
        """The row may have been among those that are gone: then nobody will ever see it."""
        for job_id in [job_id for job_id in waiting if job_id in seen.wanted]:
            floor = waiting[job_id]
            if floor.offset < seen.first or not floor.is_of(seen.topic_id, seen.end):
                del waiting[job_id]
                log.warning("schedule_job_assumed_ended", extra={"job_id": job_id})

    def _tidy(self, place: TopicPartition) -> None:
        if not self._waiting.get(place):
            self._waiting.pop(place, None)
            self._next.pop(place, None)
