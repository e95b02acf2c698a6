"""What schedules do in one turn of their owner, before any of it is published. Plain data."""

from __future__ import annotations

from typing import NamedTuple

from jobstream_processors.core.firing import TickPlan
from jobstream_processors.ports import TopicPartition
from jobstream_processors.schedule.tick_maker import Made
from jobstream_processors.schedule.timetable import OwnedSchedule
from jobstream_schemas import OrderRecord


class Firing(NamedTuple):
    """A job that is to be published for a schedule."""

    standing: OwnedSchedule
    tick_ms: int
    job_id: str
    made: Made
    floor: int | None
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
