"""The scheduler: turns ticks of schedules into jobs, each once.

A consumer group of its own over the schedules topic: who owns a partition fires its schedules. The
id of a tick's job is made from the schedule's name and the tick, so that two which believe to own
a partition make one job. To fire is to publish the job, acknowledged, and then the schedule's
place; a crash in between publishes the same job again. It keeps no store, decides by the brokers'
time, and reads rows only to know whether the job of the tick before goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream_processors.core.firing import plan_ticks
from jobstream_processors.core.identity import from_order, from_tick
from jobstream_processors.delay.group_member import NEVER_MS, GroupMember, MemberParts
from jobstream_processors.errors import PublishFailed, ScheduleBroken
from jobstream_processors.ports import CLOCK_KEY, Outgoing
from jobstream_processors.schedule.acts import Firing, ScheduleAct, count_ticks
from jobstream_processors.schedule.end_watch import EndWatch
from jobstream_processors.schedule.row_look import LogOffset
from jobstream_processors.schedule.schedule_meter import ScheduleMeter
from jobstream_processors.schedule.tick_maker import TickMaker
from jobstream_processors.schedule.timetable import OwnedSchedule, Timetable
from jobstream_processors.turn_meter import TurnMeter
from jobstream_schemas import encode_schedule, key_of
from jobstream_schemas.schedule_records import RUN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from jobstream_processors.core.firing import TickPlan
    from jobstream_processors.ports import TopicPartition
    from jobstream_schemas import OrderRecord

log = logging.getLogger("jobstream.scheduler")

RECORDS_MAX = 1_000
POLL_MS_MAX = 100
SCHEDULES_AT_ONCE = 1_000
"""Schedules that act in one turn at most; the others act in the next."""
BACKFILLED_AT_ONCE = 200
"""Ticks of one backfill that become jobs in one turn."""
FAILED_HOLD_MS = 500
"""How long a schedule rests after a job of it was not acknowledged."""
MEND_MS = 10_000
"""How often a schedule that can't fire is looked at again."""
TELL_MS = 1_000
"""How often it is told anew how schedules stand."""


@dataclass(frozen=True, slots=True)
class ScheduleParts(MemberParts):
    """What a scheduler is made of; the composition root fills it in."""

    maker: TickMaker
    meter: ScheduleMeter | None = None
    ready: Callable[[], object] | None = None
    """Called whenever what was assigned is taken up."""
    failed: Callable[[BaseException], object] | None = None
    """Hears why a thread of its own ended; None: it is to have none, and looks block."""


class Scheduler:
    """One member of the scheduler group. Used by one thread."""

    def __init__(self, parts: ScheduleParts) -> None:
        self._parts = parts
        self._clock = parts.clock
        self._meter = parts.meter
        self._watch = EndWatch(parts.reader, parts.clock, parts.failed)
        self._mends_ms = self._tells_ms = 0
        turn = parts.meter.turn if parts.meter is not None else TurnMeter("")
        self._member = member = GroupMember(
            parts, turn, log, made=self._timetable, changed=self._changed, ready=parts.ready
        )
        self.join = member.join
        self._held = member.held

    def cycle(self, timeout_ms: int = POLL_MS_MAX) -> int:
        """One turn: take up records, fire what is due, commit. Returns the jobs made."""
        member = self._member
        member.poll(RECORDS_MAX, self._wait_ms(timeout_ms))
        for timetable in self._held.values():
            if timetable.read_to is None:
                timetable.restore(self._parts.reader)
                self._tell()
        fired = 0
        self._mend()
        self._watch.learn()
        if self._knows_time():
            fired = self._act()
            self._watch.look_on()
        member.follow_up()
        if self._meter is not None:
            self._meter.fold()
            if self._clock.monotonic_ms() >= self._tells_ms:
                self._tell()
        return fired

    def close(self) -> None:
        """Commit and leave the group."""
        self._watch.close()
        self._member.close()

    def next_ms(self) -> int | None:
        """Broker time at which a schedule has something to do next; None if none ever has."""
        times = [timetable.next_ms() for timetable in self._held.values()]
        first = min(times, default=NEVER_MS)
        return None if first == NEVER_MS else first

    def tables(self) -> Collection[Timetable]:
        """The partitions that it holds."""
        return self._held.values()

    def _mend(self) -> None:
        """Try schedules again that could not fire: what they lacked, such as a schema, may come."""
        now_ms = self._clock.monotonic_ms()
        if now_ms < self._mends_ms:
            return
        self._mends_ms = now_ms + MEND_MS
        for timetable in self._held.values():
            for standing in timetable.standings.values():
                if standing.broken is not None:
                    standing.settle_on(self._parts.maker)
        self._tell()

    def _timetable(self, partition: TopicPartition) -> Timetable:
        return Timetable(partition, self._parts.maker, self._watch.ends)

    def _changed(self, held: Collection[Timetable]) -> None:
        """Jobs of schedules that went elsewhere are waited for there."""
        if not held:
            self._watch.forget()
        self._tell()

    def _wait_ms(self, limit_ms: int) -> int:
        first = self.next_ms()
        return limit_ms if first is None else max(0, min(limit_ms, first - self._clock.broker_ms()))

    def _knows_time(self) -> bool:
        """Whether ticks may be judged by the clock; publishes a record to learn the time."""
        if self.next_ms() is None or not self._clock.needs_report():
            return True
        try:
            self._member.publish([Outgoing(self._parts.mirrors.topic, CLOCK_KEY, None)])
        except PublishFailed as error:
            log.warning("time_unknown", extra={"reason": str(error)})
            return False
        return True

    # -- what schedules do

    def _act(self) -> int:
        """Let schedules act whose moment has come; returns the jobs made."""
        now_ms = self._clock.broker_ms()
        acts = [self._act_of(*each, now_ms) for each in list(self._ready(now_ms))]
        if not acts:
            return 0
        failed = self._publish([firing for act in acts for firing in act.firings])
        settled = []
        for act in acts:
            if any(firing.job_id in failed for firing in act.firings):
                act.standing.wakes_ms = now_ms + FAILED_HOLD_MS
            else:
                self._settle(act)
                settled.append(act)
        self._save(settled)
        return sum(len(act.firings) for act in settled)

    def _ready(self, now_ms: int) -> Iterator[tuple[TopicPartition, OwnedSchedule]]:
        left = SCHEDULES_AT_ONCE
        for partition, timetable in self._held.items():
            if timetable.next_ms() > now_ms:
                continue
            for standing in timetable.standings.values():
                if standing.wakes_ms <= now_ms and left:
                    left -= 1
                    yield partition, standing

    def _act_of(
        self, partition: TopicPartition, standing: OwnedSchedule, now_ms: int
    ) -> ScheduleAct:
        """What it does now: the jobs of its ticks, and those that operators asked for."""
        found = standing.scheduled
        definition, calendar = found.definition, standing.calendar
        idle = ScheduleAct(standing, partition, None, 0, [], [], {})
        if definition is None or calendar is None:
            return idle
        act = idle._replace(firings=[], finished=[], reached_ms={})
        try:
            if self._watch.knows_enough(standing):
                act = self._ticks_of(act, now_ms)
            if act.plan is None:
                self._watch.hold(standing)
            else:
                standing.held_ms = standing.rests_until_ms = 0
            for order in found.orders.values():
                for job_id, tick in self._asked(act, order):
                    act.firings.append(self._firing(standing, job_id, tick))
        except ScheduleBroken as broken:
            self._break(standing, broken)
            return idle
        return act

    def _ticks_of(self, act: ScheduleAct, now_ms: int) -> ScheduleAct:
        """With what becomes of its ticks; as it was where it is to wait for a look at rows."""
        standing = act.standing
        found, place, definition = standing.scheduled, standing.place, standing.scheduled.definition
        assert definition is not None, "only defined schedules fire"  # noqa: S101
        has_ended = not self._watch.goes_on(standing)
        ticks, is_paused = standing.due(now_ms)
        wanted = plan_ticks(
            place.pending_ms, definition.overlap, ticks, has_ended=has_ended, is_paused=is_paused
        )
        awaited, firings = definition.overlap != "allow", list[Firing]()
        for tick in wanted.fires:
            firing = self._firing(standing, from_tick(found.name, tick), tick, is_tick=True)
            if awaited and (floor := self._watch.floor(firing.made.rows)) is None:
                return act
            firings.append(firing._replace(floor=floor) if awaited else firing)
        through_ms = ticks.through_ms if ticks is not None else place.through_ms
        return act._replace(plan=wanted, through_ms=through_ms, firings=firings)

    def _break(self, standing: OwnedSchedule, broken: ScheduleBroken) -> None:
        """It can't fire for now: its ticks are dealt with once it can."""
        standing.breaks(broken)
        standing.plan_ahead(0)
        self._tell()

    def _firing(
        self, standing: OwnedSchedule, job_id: str, tick_ms: int, *, is_tick: bool = False
    ) -> Firing:
        definition = standing.scheduled.definition
        assert definition is not None, "only defined schedules fire"  # noqa: S101
        made = self._parts.maker.job(definition, job_id, tick_ms)
        return Firing(standing, tick_ms, job_id, made, None, is_tick)

    @staticmethod
    def _asked(act: ScheduleAct, order: OrderRecord) -> Iterator[tuple[str, int]]:
        """(id, tick) of the jobs of a run, or of a backfill's next part."""
        standing = act.standing
        found, calendar = standing.scheduled, standing.calendar
        if order.kind == RUN:
            act.finished.append(order)
            yield from_order(found.name, order.order_id), found.order_ms[order.order_id]
            return
        tick = standing.done_ms.get(order.order_id, order.from_ms - 1)
        for _ in range(BACKFILLED_AT_ONCE):
            following = calendar.next_ms(tick) if calendar is not None else None
            if following is None or following > order.until_ms:
                act.finished.append(order)
                return
            tick = following
            yield from_tick(found.name, tick), tick
        act.reached_ms[order.order_id] = tick

    # -- what is made of it

    def _publish(self, firings: list[Firing]) -> set[str]:
        """Publish the jobs; the ids of those that were not acknowledged."""
        if not firings:
            return set()
        try:
            self._member.publish([firing.made.record for firing in firings])
        except PublishFailed as error:
            extra = {"jobs": len(error.failures), "reason": str(error)}
            log.warning("schedule_job_failed", extra=extra)
            return {firings[index].job_id for index in error.failures}
        return set()

    def _settle(self, act: ScheduleAct) -> None:
        """Its jobs are acknowledged: move its place, and end the orders that are carried out."""
        standing, now_ms = act.standing, self._clock.broker_ms()
        if act.plan is not None:
            self._move(act, act.plan, now_ms)
        standing.done_ms |= act.reached_ms
        for order in act.finished:
            standing.scheduled.orders.pop(order.order_id, None)
            standing.done_ms.pop(order.order_id, None)
        standing.plan_ahead(now_ms)

    def _move(self, act: ScheduleAct, wanted: TickPlan, now_ms: int) -> None:
        """Move its place, count, and say what was left out."""
        standing, before = act.standing, act.standing.place
        place = before._replace(
            through_ms=act.through_ms,
            pending_ms=wanted.pending_ms,
            fired=before.fired + len(wanted.fires),
            missed=before.missed + wanted.missed,
            merged=before.merged + wanted.merged,
            skipped=before.skipped + wanted.skipped,
        )
        ticks = [firing for firing in act.firings if firing.is_tick]
        if ticks:
            *_, last = ticks
            rows, floor = last.made.rows, last.floor or LogOffset()
            if before.job_id:
                self._watch.ends.forget(before.job_id, (before.topic, before.partition))
            place = place._replace(
                fired_ms=last.tick_ms,
                job_id="" if last.floor is None else last.job_id,
                topic=rows[0],
                partition=rows[1],
                looked=floor.offset,
                topic_id=floor.topic_id,
            )
            if last.floor is not None:
                self._watch.watch(last.job_id, rows, floor)
        if place != before or ticks:
            standing.scheduled.place, standing.unsaved = place, True
            fired = [firing.tick_ms for firing in ticks]
            count_ticks(self._meter, standing, wanted, fired, (now_ms, before.pending_ms))

    def _save(self, acts: list[ScheduleAct]) -> None:
        """Write the places, and end the orders that are carried out."""
        records: list[Outgoing] = []
        of: list[tuple[OwnedSchedule, OrderRecord | None]] = []
        for act in acts:
            standing, (topic, partition) = act.standing, act.partition
            if standing.unsaved:
                place = standing.place
                records.append(Outgoing(topic, key_of(place), encode_schedule(place), partition))
                of.append((standing, None))
            for order in act.finished:
                records.append(Outgoing(topic, key_of(order), None, partition))
                of.append((standing, order))
        if not records:
            return
        failed: Collection[int] = ()
        try:
            self._member.publish(records)
        except PublishFailed as error:
            log.warning("schedule_place_failed", extra={"reason": str(error)})
            failed = error.failures
        again_ms = self._clock.broker_ms() + FAILED_HOLD_MS
        for index, (standing, order_of) in enumerate(of):
            if order_of is None:
                standing.unsaved = index in failed
            elif index in failed:
                # Its jobs are there; asked for again they are the same ones.
                standing.scheduled.orders[order_of.order_id] = order_of
        for standing, _ in of:
            standing.plan_ahead(again_ms)

    def _tell(self) -> None:
        """What the meter shows of the schedules that are owned here."""
        meter = self._meter
        if meter is None:
            return
        self._tells_ms = self._clock.monotonic_ms() + TELL_MS
        owned = [s for table in self._held.values() for s in table.standings.values()]
        meter.tell(owned, self._clock.broker_ms(), self.next_ms())
