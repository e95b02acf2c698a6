"""One partition of the schedules topic during one assignment: its schedules, and when each acts.

It is read to its end when it is taken up, from its start, since the topic is the only store; what
comes later is folded in as it comes. Its offsets are finished at once: nothing waits in them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobstream_processors.core.firing import offset_ms
from jobstream_processors.core.ticks import due
from jobstream_processors.delay.group_member import NEVER_MS, HeldPartition
from jobstream_processors.errors import ScheduleBroken
from jobstream_processors.schedule.row_look import LogOffset
from jobstream_processors.schedule.schedule_book import ScheduleBook
from jobstream_processors.schedule.tick_maker import NEWER
from jobstream_schemas import DecodeError, PlaceRecord, decode_schedule

if TYPE_CHECKING:
    from jobstream_processors.core.ticks import Calendar, Due
    from jobstream_processors.ports import Log, Record, TopicPartition
    from jobstream_processors.schedule.ends import Ends
    from jobstream_processors.schedule.schedule_book import Scheduled
    from jobstream_processors.schedule.tick_maker import TickMaker

log = logging.getLogger("jobstream.scheduler")

_PLACE = b"place:"
PENDING_MS = 1_000
"""How often a schedule looks whether the job has ended that a tick waits for."""


class OwnedSchedule:
    """A schedule with a definition, as its owner keeps it."""

    __slots__ = (
        "broken", "calendar", "done_ms", "held_ms", "needs_ms", "offset_ms", "rests_until_ms",
        "scheduled", "unsaved", "wakes_ms",
    )  # fmt: skip

    def __init__(self, scheduled: Scheduled) -> None:
        self.scheduled = scheduled
        self.calendar: Calendar | None = None
        """None while it can't fire."""
        self.broken: ScheduleBroken | None = None
        self.offset_ms = 0
        self.unsaved = False
        """Its place is not acknowledged yet."""
        self.done_ms: dict[str, int] = {}
        """By backfill: up to where its ticks are jobs."""
        self.needs_ms = 0
        """Monotonic: it waits for a look at rows that began then or later; 0 if it does not."""
        self.held_ms = 0
        """Monotonic: since when its ticks wait for a look at rows; 0 if they do not."""
        self.rests_until_ms = 0
        """Broker time: until then it asks for none again."""
        self.wakes_ms = NEVER_MS
        """Broker time at which it has something to do."""

    @property
    def place(self) -> PlaceRecord:
        """How far it has come."""
        found = self.scheduled
        if found.place is None:
            return PlaceRecord(found.name, found.since_ms)
        return found.place._replace(through_ms=found.through_ms, pending_ms=found.pending_ms)

    def due(self, now_ms: int) -> tuple[Due | None, bool]:
        """What becomes of its next ticks, and whether these are paused.

        Ticks that fire before a pause, in it and after it are told apart, also by an owner who
        comes later. With a spread that is by the moment of firing, which comes after the tick.
        """
        made, calendar, place = self.scheduled.definition, self.calendar, self.place
        assert made is not None, "only defined schedules fire"  # noqa: S101
        assert calendar is not None, "only what has a calendar fires"  # noqa: S101
        began_ms, until_ms = self.scheduled.paused_ms
        stages = [(now_ms, self.scheduled.is_paused(now_ms))]
        if self.scheduled.pause is not None:
            stages = [(began_ms, False), (until_ms or now_ms, True), *stages]
        ticks_ms = now_ms - self.offset_ms
        for stage_ms, is_paused in stages:
            span_ms = place.through_ms, min(stage_ms, now_ms) - self.offset_ms
            found = due(calendar, span_ms, ticks_ms, made.missed, made.catch_up_ms)
            if found is not None:
                return found, is_paused
        return None, self.scheduled.is_paused(now_ms)

    def settle_on(self, maker: TickMaker) -> None:
        """Make its calendar anew, after a record about it."""
        found = self.scheduled
        try:
            if found.definition is None:
                raise ScheduleBroken(NEWER, found.unreadable)  # noqa: TRY301 - one place tells it
            self.calendar = maker.calendar(found.definition)
            self.offset_ms = offset_ms(found.name, found.definition.spread_ms)
            self.broken = None
        except ScheduleBroken as broken:
            self.breaks(broken)
        self.plan_ahead(0)

    def breaks(self, broken: ScheduleBroken) -> None:
        """It can't fire for now; says so in the log, once for each reason."""
        if str(broken) != str(self.broken):
            told = {"schedule": self.scheduled.name, "why": broken.kind, "reason": str(broken)}
            log.warning("schedule_broken", extra=told)
        self.calendar, self.broken = None, broken

    def plan_ahead(self, now_ms: int) -> None:
        """Find out when it has something to do next."""
        found, place = self.scheduled, self.place
        self.wakes_ms = NEVER_MS
        if self.calendar is None:
            return
        tick = self.calendar.next_ms(place.through_ms)
        if tick is not None:
            self.wakes_ms = tick + self.offset_ms
        if self.unsaved or found.orders:
            self.wakes_ms = min(self.wakes_ms, now_ms)
        elif place.pending_ms and not found.is_paused(now_ms):
            self.wakes_ms = min(self.wakes_ms, now_ms + PENDING_MS)
        elif place.pending_ms and found.paused_ms[1]:
            self.wakes_ms = min(self.wakes_ms, found.paused_ms[1])
        self.wakes_ms = max(self.wakes_ms, self.rests_until_ms)


class Timetable(HeldPartition):
    """State of one partition."""

    def __init__(self, source: TopicPartition, maker: TickMaker, ends: Ends) -> None:
        super().__init__(source)
        self._maker = maker
        self._ends = ends
        self._book = ScheduleBook()
        self.standings: dict[str, OwnedSchedule] = {}
        self.read_to: int | None = None
        """It is known up to here; None before it was read."""

    def restore(self, reader: Log) -> None:
        """Read what it holds; blocks for that."""
        low, high = reader.span(self.source)
        for batch in reader.read(self.source, low, high):
            for record in batch:
                self._learn(record)
        self.read_to = high
        for name in self._book.schedules:
            self._look_at(name)
        for key, reason in self._book.misread.items():
            extra = {"key": key[:200].decode(errors="replace"), "reason": reason}
            log.warning("schedule_record_skipped", extra=extra)

    def keep(self, record: Record, offset: int) -> None:
        """Fold a record in, unless it was read already."""
        self.watermark.finish(offset)
        if self.read_to is None or offset < self.read_to or self._is_own(record):
            return
        if name := self._learn(record):
            self._look_at(name)

    def _is_own(self, record: Record) -> bool:
        """Whether it is a place that this owner has left behind, written here or by one before."""
        key, value = record.key() or b"", record.value()
        if value is None or not key.startswith(_PLACE):
            return False
        try:
            entry = decode_schedule(key, value)
        except DecodeError:
            return False
        standing = self.standings.get(entry.name)
        return (
            isinstance(entry, PlaceRecord)
            and standing is not None
            and standing.scheduled.place is not None
            and entry.through_ms <= standing.scheduled.place.through_ms
        )

    def is_full(self) -> bool:
        """Never: nothing waits."""
        return False

    def has_room(self) -> bool:
        """Always."""
        return True

    def next_ms(self) -> int:
        """Broker time at which any of its schedules has something to do."""
        return min((each.wakes_ms for each in self.standings.values()), default=NEVER_MS)

    def _learn(self, record: Record) -> str:
        return self._book.take(record.key() or b"", record.value(), record.timestamp()[1])

    def _look_at(self, name: str) -> None:
        found = self._book.schedules.get(name)
        if found is None or (found.definition is None and not found.unreadable):
            self.standings.pop(name, None)
            return
        standing = self.standings.get(name)
        if standing is None or standing.scheduled is not found:
            standing = self.standings[name] = OwnedSchedule(found)
            if (place := found.place) is not None and place.job_id:
                floor = LogOffset(place.topic_id, place.looked)
                self._ends.watch(place.job_id, (place.topic, place.partition), floor)
        standing.settle_on(self._maker)
