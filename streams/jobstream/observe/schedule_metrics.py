"""What became of the ticks of schedules, of one scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.observe.families import counter, gauge, histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

    from jobstream_processors.schedule.schedule_meter import ScheduleMeter


class DeclaredCollector:
    """Schedules of the code, as workers know it: a process that fires them may be missing."""

    def __init__(self, declared: int) -> None:
        self._declared = declared

    def collect(self) -> Iterable[Metric]:
        """One family."""
        yield gauge("jobs_schedules_declared", [((), self._declared)])


class ScheduleCollector:
    """Ticks, lateness, and schedules that can't fire."""

    def __init__(self, meter: ScheduleMeter) -> None:
        self._meter = meter

    def collect(self) -> Iterable[Metric]:
        """Four families."""
        meter = self._meter
        yield counter("jobs_schedule_ticks_total", list(meter.ticks.items()))
        yield histogram("jobs_schedule_lateness_seconds", [((), *meter.late.shown)])
        yield gauge("jobs_schedules_broken", list(meter.broken.items()))
        yield gauge("jobs_schedules_owned", [((), meter.owned)])
