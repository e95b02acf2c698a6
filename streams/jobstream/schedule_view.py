"""A schedule as people see it: what it says, how far it has come, and its ticks to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jobstream.errors import ConfigError
from jobstream.schedule_declaration import CODE, calendar_of, zone_of
from jobstream_processors.core.cron import LAST_MS
from jobstream_processors.core.duration import to_text
from jobstream_processors.core.firing import offset_ms
from jobstream_processors.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from jobstream_processors.schedule.schedule_book import Scheduled
    from jobstream_schemas import ScheduleRecord

_COUNTS = ("fired", "missed", "merged", "skipped")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as it stands."""

    name: str
    job_type: str
    """"" where its definition can't be read."""
    when: str
    """Its cron expression with the zone, or its interval."""
    source: str
    """`code` or `run_time`; `newer` where another version wrote a definition unknown here."""
    missed: str
    catch_up_ms: int
    overlap: str
    spread_ms: int
    paused: str = ""
    """By whom, why and until when; empty if it is not."""
    last_tick: datetime | None = None
    """The last tick that became a job."""
    next_tick: datetime | None = None
    """The next tick, paused or not."""
    waiting_tick: datetime | None = None
    """A tick that waits for the end of the last job (`overlap="queue_one"`)."""
    counts: Mapping[str, int] = field(default_factory=dict, hash=False)
    """What became of its ticks so far: fired, missed, merged, skipped."""
    trouble: str = ""
    """Why it can't fire, as far as that can be told from here."""


def shown_schedule(
    found: Scheduled, now_ms: int, jobs: Collection[str], declared: Collection[str]
) -> Schedule:
    """The schedule as it stands; `jobs` and `declared` schedules by name, where code is known."""
    made, place = found.definition, found.place
    if made is None:
        paused = pause_of(found, now_ms)
        return Schedule(found.name, "", "", "newer", "", 0, "", 0, paused, trouble=found.unreadable)
    next_ms, trouble = None, ""
    try:
        calendar = calendar_of(made)
    except (InvalidOption, ImportError) as error:
        trouble = str(error)
    else:
        next_ms = calendar.next_ms(max(found.through_ms, now_ms))
    if jobs and made.job_type not in jobs:
        trouble = f"the app has no job type {made.job_type!r}"
    elif jobs and made.source == CODE and made.name not in declared:
        trouble = "the code declares it no more, so it does not fire; remove it"
    counts = {} if place is None else {name: getattr(place, name) for name in _COUNTS}
    return Schedule(
        name=made.name,
        job_type=made.job_type,
        when=told(made),
        source=made.source,
        missed=made.missed,
        catch_up_ms=made.catch_up_ms,
        overlap=made.overlap,
        spread_ms=offset_ms(made.name, made.spread_ms),
        paused=pause_of(found, now_ms),
        last_tick=moment_of(place.fired_ms if place is not None else 0),
        next_tick=moment_of(next_ms or 0),
        waiting_tick=moment_of(place.pending_ms if place is not None else 0),
        counts=counts,
        trouble=trouble,
    )


def preview(made: ScheduleRecord, count: int, after_ms: int) -> list[datetime]:
    """The next `count` ticks after a moment, up to 2100, in its zone; raises ConfigError."""
    try:
        calendar, zone = calendar_of(made), UTC if made.every_ms else zone_of(made.zone)
    except InvalidOption as error:
        message = f"schedule {made.name!r}: {error}"
        raise ConfigError(message) from error
    found: list[datetime] = []
    tick: int | None = after_ms
    while tick is not None and tick <= LAST_MS and len(found) < count:
        tick = calendar.next_ms(tick)
        if tick is not None and tick <= LAST_MS:
            found.append(datetime.fromtimestamp(tick / 1000, UTC).astimezone(zone))
    return found


def ticks_of(found: Scheduled, after_ms: int, until_ms: int) -> Iterator[int]:
    """Its ticks in (after_ms, until_ms]; raises ConfigError."""
    made = definition_in(found)
    try:
        calendar = calendar_of(made)
    except InvalidOption as error:
        message = f"schedule {made.name!r}: {error}"
        raise ConfigError(message) from error
    tick = calendar.next_ms(after_ms)
    while tick is not None and tick <= until_ms:
        yield tick
        tick = calendar.next_ms(tick)


def told(made: ScheduleRecord) -> str:
    """When it has ticks, in a few words."""
    return f"every {to_text(made.every_ms)}" if made.every_ms else f"{made.cron} ({made.zone})"


def definition_in(found: Scheduled) -> ScheduleRecord:
    """Its definition; raises ConfigError for one that another version wrote."""
    if found.definition is None:
        message = f"schedule {found.name!r} was written by another version: {found.unreadable}"
        raise ConfigError(message)
    return found.definition


def pause_of(found: Scheduled, now_ms: int) -> str:
    """By whom it is paused, why and until when; empty if it is not."""
    pause = found.pause
    if pause is None or not found.is_paused(now_ms):
        return ""
    why = f": {pause.why}" if pause.why else ""
    until_ms = found.paused_ms[1]
    until = f", until {moment_of(until_ms)}" if until_ms else ""
    return f"by {pause.who}{why}{until}"


def moment_of(at_ms: int) -> datetime | None:
    """The moment, None for 0."""
    return datetime.fromtimestamp(at_ms / 1000, UTC) if at_ms else None


def epoch_ms(option: str, moment: datetime) -> int:
    """Epoch milliseconds of an aware datetime; raises ConfigError naming the option."""
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        message = f"{option}={moment!r} is no aware datetime: write datetime(..., tzinfo=UTC)"
        raise ConfigError(message)
    return round(moment.timestamp() * 1000)
