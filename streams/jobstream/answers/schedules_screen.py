"""Schedules: the last tick, the next five, what became of those that were missed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jobstream.answers.as_of import AsOf
from jobstream.errors import ConfigError, TopicMissing
from jobstream.schedule_view import Schedule

if TYPE_CHECKING:
    from jobstream.answers.app_site import Site

NEXT = 5
SCHEDULES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """One schedule."""

    schedule: Schedule
    next_ticks: tuple[datetime, ...]
    """The next five, in its zone, paused or not."""


@dataclass(frozen=True, slots=True)
class SchedulesAnswer:
    """Every schedule, by name."""

    as_of: AsOf
    schedules: tuple[ScheduleRow, ...]
    left_out: int
    is_used: bool
    """Whether the app has a topic of schedules."""


def schedules(site: Site) -> SchedulesAnswer:
    """Every schedule; blocks while their topic is read. Raises SourceAway."""
    held = site.kept.get("schedules", lambda: _read(site))
    if held.value is None:
        return SchedulesAnswer(held.as_of(), (), 0, is_used=False)
    rows = held.value
    return SchedulesAnswer(
        held.as_of(), rows[:SCHEDULES_MAX], max(0, len(rows) - SCHEDULES_MAX), is_used=True
    )


def _read(site: Site) -> tuple[ScheduleRow, ...] | None:
    try:
        found = site.app.schedules.list()
    except TopicMissing:
        return None
    return tuple(ScheduleRow(each, _next(site, each)) for each in found)


def _next(site: Site, each: Schedule) -> tuple[datetime, ...]:
    if each.next_tick is None or each.name not in site.app.schedules.declared:
        return () if each.next_tick is None else (each.next_tick,)
    with suppress(ConfigError):
        return tuple(site.app.schedules.preview(each.name, NEXT))
    return ()
