"""The part of an app that declares schedules: decorators of job types, read from top to bottom."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from jobstream.errors import ConfigError
from jobstream.job import Job

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from jobstream.enqueue.client import Client
    from jobstream.schedule_control import Schedules
    from jobstream_processors.core.duration import Duration
    from jobstream_processors.core.ticks import Missed, Overlap

AnyJob = TypeVar("AnyJob", bound=Job[Any, Any])


class ScheduleDecorator(Protocol):
    """The decorator that `App.cron(...)` returns: takes a job type, and gives it back."""

    def __call__(self, job: AnyJob, /) -> AnyJob:
        """Declare the schedule."""


class Scheduling(ABC):
    """What an app knows of schedules."""

    name: str
    _has_schedules: bool
    _schedules: Schedules | None = None

    @property
    @abstractmethod
    def client(self) -> Client:
        """The client that enqueues."""

    @property
    @abstractmethod
    def jobs_by_name(self) -> Mapping[str, Job[Any, Any]]:
        """The job types by every name they answer to."""

    def cron(
        self,
        expression: str,
        *,
        tz: str = "UTC",
        args: object = None,
        name: str | None = None,
        missed: Missed = "one",
        catch_up: Duration = "1h",
        overlap: Overlap = "skip",
        spread: Duration = 0,
    ) -> ScheduleDecorator:
        """Enqueue a job at each tick of a cron expression; a decorator of a job type, stackable.

        `expression` has five fields, or six with seconds first, and is read in the time zone `tz`.
        Where the clock is put forward a named time that is left out runs at the first moment after
        it; where it is put back, once. `args` default to those of the args class; `name` to the
        type's. Ticks more than a minute late count as `missed`: the last of them runs, "all", or
        none ("skip"); none that is later than `catch_up`, the queue's dedup window at most. While
        the job before is not done a tick is left out (`overlap="skip"`), the last one waits
        ("queue_one"), or they run beside each other ("allow"). `spread`: fire later by an offset
        below it, which the name decides. Raises ConfigError.
        """
        timing = {"cron": expression, "tz": tz, "missed": missed, "catch_up": catch_up}
        return self._decorator(name, args, timing | {"overlap": overlap, "spread": spread})

    def every(
        self,
        interval: Duration,
        *,
        anchor: datetime | None = None,
        args: object = None,
        name: str | None = None,
        missed: Missed = "one",
        catch_up: Duration = "1h",
        overlap: Overlap = "skip",
        spread: Duration = 0,
    ) -> ScheduleDecorator:
        """Enqueue a job at each multiple of `interval` (1 s to 366 d); otherwise as `cron`.

        Counted from `anchor`, an aware datetime; by default from the start of 1970 in UTC, so "10m"
        is every full ten minutes.
        """
        timing = {"every": interval, "anchor": anchor, "missed": missed, "catch_up": catch_up}
        return self._decorator(name, args, timing | {"overlap": overlap, "spread": spread})

    @property
    def schedules(self) -> Schedules:
        """The schedules: list, add, pause, resume, run, backfill. Each call contacts the broker."""
        if self._schedules is None:
            from jobstream.schedule_control import Schedules  # noqa: PLC0415 - most services have none

            self._schedules = Schedules(self.name, lambda: self.client, lambda: self.jobs_by_name)
        return self._schedules

    @property
    def has_schedules(self) -> bool:
        """Whether its topics include that of schedules."""
        return self._has_schedules or (self._schedules is not None and self._schedules.is_used)

    def _decorator(
        self, name: str | None, args: object, timing: Mapping[str, Any]
    ) -> ScheduleDecorator:
        from jobstream.schedule_declaration import Timing  # noqa: PLC0415 - as above

        when = timing.get("cron", timing.get("every"))
        if callable(when):
            # A bare `@app.cron` would make the job type vanish, and nothing would ever fire.
            message = (
                f"a schedule gets {when!r} for its time: say when, as in @app.cron('*/5 * * * *') "
                "or @app.every('10m')"
            )
            raise ConfigError(message)

        def schedule(job: AnyJob) -> AnyJob:
            self.schedules.declare(name, job, Timing(**timing), args)
            return job

        return schedule
