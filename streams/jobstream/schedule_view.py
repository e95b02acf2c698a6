"""A schedule as people see it: what it says, how far it has come, and its ticks to come."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from jobstream.errors import ConfigError
from jobstream.schedule_declaration import CODE, DROPPED, args_in, calendar_of, zone_of
from jobstream_processors.core.cron import LAST_MS
from jobstream_processors.core.duration import to_text
from jobstream_processors.core.firing import offset_ms
from jobstream_processors.errors import InvalidOption, ScheduleBroken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.job import Job
    from jobstream_processors.schedule.schedule_book import Scheduled
    from jobstream_schemas import Catalogue, ScheduleRecord

_COUNTS = ("fired", "missed", "merged", "skipped")
GONE_FROM_CODE = "the code declares it no more, so it does not fire; remove it"
BY_ROLE = "jobstream worker MODULE:APP without --only, or with --only scheduler"
NOT_YET = (
    f"no process with the role scheduler ({BY_ROLE}) has started yet with the code that declares it"
)


class KnownCode(NamedTuple):
    """What is known of the app's code where somebody looks: nothing for a bare name."""

    jobs: Mapping[str, Job[Any, Any]]
    declared: Mapping[str, ScheduleRecord]
    catalogue: Catalogue
    """Schemas in which args were written; looked at if `jobs` are known."""


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


def trouble_of(found: Scheduled, known: KnownCode) -> str:
    """Why a schedule can't fire, as far as that can be told from here; "" if nothing is known."""
    made = found.definition
    if made is None:
        return f"another version of jobstream wrote it: {found.unreadable}"
    job = known.jobs.get(made.job_type)
    if known.jobs and job is None:
        return f"the app has no job type {made.job_type!r}"
    is_ours = not known.jobs or made.name in known.declared
    if made.source == DROPPED or (made.source == CODE and not is_ours):
        return GONE_FROM_CODE
    try:
        if job is not None:
            args_in(made, job, known.catalogue)
    except ScheduleBroken as broken:
        return str(broken)
    try:
        calendar_of(made)
    except (InvalidOption, ImportError) as error:
        return str(error)
    return ""


def shown_schedule(found: Scheduled, now_ms: int, trouble: str) -> Schedule:
    """The schedule as it stands."""
    made, place = found.definition, found.place
    if made is None:
        paused = pause_of(found, now_ms)
        return Schedule(found.name, "", "", "newer", "", 0, "", 0, paused, trouble=trouble)
    next_ms = None
    with suppress(InvalidOption, ImportError):
        next_ms = calendar_of(made).next_ms(max(found.through_ms, now_ms))
    counts = {} if place is None else {name: getattr(place, name) for name in _COUNTS}
    return Schedule(
        name=made.name,
        job_type=made.job_type,
        when=told(made),
        source=CODE if made.source == DROPPED else made.source,
        missed=made.missed,
        catch_up_ms=made.catch_up_ms,
        overlap=made.overlap,
        spread_ms=offset_ms(made.name, made.spread_ms),
        paused=pause_of(found, now_ms),
        last_tick=moment_of(place.fired_ms if place is not None else 0),
        next_tick=moment_of(next_ms or 0),
        waiting_tick=moment_of(found.pending_ms),
        counts=counts,
        trouble=trouble,
    )


def preview(made: ScheduleRecord, count: int, after_ms: int) -> list[datetime]:
    """The next `count` ticks after a moment, up to 2100, in its zone; raises ConfigError."""
    try:
        calendar, zone = calendar_of(made), UTC if made.every_ms else zone_of(made.zone)
    except InvalidOption as error:
        message = f"schedule {made.name!r}: {error}"
        raise ConfigError(message) from error.__cause__
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
        raise ConfigError(message) from error.__cause__
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
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        message = f"{option}={moment!r} is no aware datetime: write datetime(..., tzinfo=UTC)"
        raise ConfigError(message)
    return round(moment.timestamp() * 1000)
