"""What schedules do in one turn of their owner, before any of it is published. Plain data."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from jobstream_processors.core.ticks import GRACE_MS
from jobstream_processors.schedule.schedule_meter import OUTCOMES

if TYPE_CHECKING:
    from jobstream_processors.core.firing import TickPlan
    from jobstream_processors.ports import TopicPartition
    from jobstream_processors.schedule.row_look import LogOffset
    from jobstream_processors.schedule.schedule_meter import ScheduleMeter
    from jobstream_processors.schedule.tick_maker import Made
    from jobstream_processors.schedule.timetable import OwnedSchedule
    from jobstream_schemas import OrderRecord

log = logging.getLogger("jobstream.scheduler")


class Firing(NamedTuple):
    """A job that is to be published for a schedule."""

    standing: OwnedSchedule
    tick_ms: int
    job_id: str
    made: Made
    floor: LogOffset | None
    """Its row will not stand before this offset; None where nobody waits for it."""
    is_tick: bool
    """It is the job of a tick that is due, and not one that an operator asked for."""


class ScheduleAct(NamedTuple):
    """What one schedule does in this turn."""

    standing: OwnedSchedule
    partition: TopicPartition
    plan: TickPlan | None
    through_ms: int
    """Every tick up to here is dealt with then."""
    firings: list[Firing]
    finished: list[OrderRecord]
    """Orders that are carried out once its jobs are acknowledged."""
    reached_ms: dict[str, int]
    """By backfill that goes on: up to where its ticks are jobs then."""


def count_ticks(
    meter: ScheduleMeter | None,
    standing: OwnedSchedule,
    wanted: TickPlan,
    fired: list[int],
    times_ms: tuple[int, int],
) -> None:
    """Count what became of ticks, and tell the log of those that were left out.

    `times_ms`: now, and the tick that had waited for the job before, whose lateness is wanted.
    """
    name, (now_ms, waited_ms) = standing.scheduled.name, times_ms
    counts = (len(fired), wanted.missed, wanted.merged, wanted.skipped)
    if meter is not None:
        for outcome, ticks in zip(OUTCOMES, counts, strict=True):
            meter.count(name, outcome, ticks)
        for tick_ms in fired:
            late_ms = now_ms - tick_ms - standing.offset_ms
            if late_ms <= GRACE_MS and tick_ms != waited_ms:
                meter.was_late(late_ms)
    if any(counts[1:]):
        log.info(
            "ticks_left_out", extra={"schedule": name, **dict(zip(OUTCOMES, counts, strict=True))}
        )
