"""Checks how a schedule is declared, and makes the definition that stands in the schedules topic.

Every error names the schedule, the field, its value and the fix. What needs cronsim, which a
service that only enqueues need not have, is checked where it is: in workers, commands and tests.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jobstream.errors import ConfigError
from jobstream_processors.core.cron import Cron, check
from jobstream_processors.core.duration import Duration, to_ms
from jobstream_processors.core.ticks import MISSED, OVERLAP, Every
from jobstream_processors.errors import InvalidOption, ScheduleBroken
from jobstream_processors.schedule.tick_maker import ARGS, UNKNOWN_SCHEMA
from jobstream_schemas import DecodeError, EncodeError, Meta, ScheduleRecord, UnknownSchema
from jobstream_schemas.record_classes import declared_fields

if TYPE_CHECKING:
    from jobstream.job import Job
    from jobstream_processors.core.ticks import Calendar
    from jobstream_schemas import Catalogue

CODE, RUN_TIME, DROPPED = "code", "run_time", "dropped"
"""Who says it: the code, an operator, or a code before, which the one that started last is not."""
EVERY_MS_MIN = 1_000
EVERY_MS_MAX = 366 * 86_400_000
SPREAD_MS_MAX = 86_400_000
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class Timing:
    """When a schedule has ticks, and what becomes of those that can't fire on time."""

    cron: str = ""
    tz: str = "UTC"
    every: Duration | None = None
    anchor: datetime | None = None
    missed: str = "one"
    catch_up: Duration = "1h"
    overlap: str = "skip"
    spread: Duration = 0


def definition(  # noqa: PLR0917 - what a definition is made of
    name: str,
    job: Job[Any, Any],
    timing: Timing,
    args: object,
    source: str,
    who: str = "",
) -> ScheduleRecord:
    """The checked definition; raises ConfigError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        message = (
            f"schedule name {name!r}: letters, digits, '_', '.', '-', up to 128, "
            "the first one a letter"
        )
        raise ConfigError(message)
    try:
        every_ms, anchor_ms = _interval(timing)
        made = ScheduleRecord(
            name=name,
            job_type=job.name,
            cron=timing.cron,
            zone="" if every_ms else timing.tz,
            every_ms=every_ms,
            anchor_ms=anchor_ms,
            missed=_one_of("missed", timing.missed, MISSED),
            catch_up_ms=_catch_up_ms(timing, job),
            overlap=_one_of("overlap", timing.overlap, OVERLAP),
            spread_ms=to_ms(timing.spread, name="spread", most_ms=SPREAD_MS_MAX),
            event=_event(job, args),
            source=source,
            who=who,
        )
        if made.missed == "all" and made.overlap != "allow":
            message = (
                f"missed='all' with overlap={made.overlap!r}: the jobs of missed ticks come at "
                "once, so all but one would be left out; say overlap='allow', or missed='one'"
            )
            raise InvalidOption(message)  # noqa: TRY301 - one place names the schedule
        if not every_ms:
            zone_of(timing.tz)
            if has_cronsim():
                check(timing.cron)
    except InvalidOption as error:
        message = f"schedule {name!r}: {error}"
        raise ConfigError(message) from error.__cause__
    return made


def calendar_of(made: ScheduleRecord) -> Calendar:
    """The calendar of a definition; raises InvalidOption where this machine can't make it."""
    if made.every_ms:
        return Every(max(made.every_ms, EVERY_MS_MIN), made.anchor_ms)
    return Cron(check(made.cron), zone_of(made.zone))


def same_calendar(one: ScheduleRecord, other: ScheduleRecord) -> bool:
    """Whether two definitions have the same ticks."""
    return (one.cron, one.zone, one.every_ms, one.anchor_ms) == (
        other.cron,
        other.zone,
        other.every_ms,
        other.anchor_ms,
    )


def zone_of(name: str) -> tzinfo:
    """The time zone of that name on this machine; raises InvalidOption."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
        message = (
            f"tz={name!r} is no time zone of this machine: give an IANA name such as "
            "'Europe/Berlin', or install them with: pip install tzdata"
        )
        raise InvalidOption(message) from error


@cache
def has_cronsim() -> bool:
    """Whether cron expressions can be read in this process."""
    try:
        import cronsim  # noqa: F401, PLC0415 - only looked for
    except ImportError:
        return False
    return True


def _interval(timing: Timing) -> tuple[int, int]:
    if (timing.every is None) is (timing.cron == ""):
        message = (
            f"cron={timing.cron!r} and every={timing.every!r}: give one of them, as in "
            "'*/5 * * * *' or '10m'"
        )
        raise InvalidOption(message)
    if timing.every is None:
        if timing.anchor is not None:
            message = f"anchor={timing.anchor!r} is for an interval; a cron expression has none"
            raise InvalidOption(message)
        return 0, 0
    if timing.tz != "UTC":
        message = (
            f"tz={timing.tz!r} is for a cron expression; an interval knows no zones: leave it out, "
            "or give cron=, as in '0 6 * * *'"
        )
        raise InvalidOption(message)
    every_ms = to_ms(timing.every, name="every", least_ms=EVERY_MS_MIN, most_ms=EVERY_MS_MAX)
    anchor = timing.anchor
    if anchor is None:
        return every_ms, 0
    if not isinstance(anchor, datetime) or anchor.utcoffset() is None:
        message = f"anchor={anchor!r} is no aware datetime: write datetime(..., tzinfo=UTC)"
        raise InvalidOption(message)
    return every_ms, round(anchor.timestamp() * 1000)


def _catch_up_ms(timing: Timing, job: Job[Any, Any]) -> int:
    window_ms = job.queue.dedup_ms
    catch_up_ms = to_ms(timing.catch_up, name="catch_up")
    if catch_up_ms > window_ms:
        message = (
            f"catch_up={timing.catch_up!r} is longer than the dedup window {job.queue.dedup!r} of "
            f"queue {job.queue.name!r}: a tick fired again so late would run twice; lower it, or "
            "raise dedup="
        )
        raise InvalidOption(message)
    return catch_up_ms


def _one_of(option: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        message = f"{option}={value!r}; choose {', '.join(map(repr, choices))}"
        raise InvalidOption(message)
    return value


def args_in(made: ScheduleRecord, job: Job[Any, Any], catalogue: Catalogue) -> Any:  # noqa: ANN401 - generic in the job type
    """The args of a definition as the job type has them now; raises ScheduleBroken."""
    try:
        reader, meta = catalogue.read(made.event)
        return reader.args(made.event, meta.args_bytes_at, job.codec)
    except UnknownSchema as error:
        raise ScheduleBroken(UNKNOWN_SCHEMA, str(error)) from error
    except DecodeError as error:
        raise ScheduleBroken(ARGS, str(error)) from error


def _event(job: Job[Any, Any], args: object) -> bytes:
    cls = job.codec.cls
    if args is None:
        needed = [
            field.name
            for field in declared_fields(cls)
            if field.default is MISSING and field.factory is None
        ]
        if needed:
            message = (
                f"args=None, but {cls.__name__} needs {', '.join(needed)}: give args={cls.__name__}"
                "(...), or defaults to its fields"
            )
            raise InvalidOption(message)
        args = cls()
    try:
        return job.codec.encode(Meta(id="schedule", enqueued_at=0, source=""), args)
    except EncodeError as error:
        message = f"args={args!r:.200}: {error}"
        raise InvalidOption(message) from error
