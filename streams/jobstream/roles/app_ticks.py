"""Calendars and jobs of schedules, made by the app's code; and its own definitions, published.

The port of the scheduler. A schedule whose job type or args this code does not know is broken here,
not lost: a process that knows them fires it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from jobstream.enqueue.composing import Composer, When
from jobstream.errors import ConfigError, EnqueueError
from jobstream.kafka.follow.schedule_topic import ScheduleFollower, schedule_record
from jobstream.kafka.follow.schema_topic import schema_record
from jobstream.schedule_control import kept_since
from jobstream.schedule_declaration import CODE, DROPPED, args_in, calendar_of
from jobstream.schedule_view import GONE_FROM_CODE
from jobstream.topics.names import schedules_topic, schemas_topic
from jobstream.topics.specs import SCHEDULE_PARTITIONS
from jobstream_processors.core.headers import scheduled
from jobstream_processors.errors import InvalidOption, ScheduleBroken
from jobstream_processors.schedule.tick_maker import (
    ARGS,
    CALENDAR,
    UNDECLARED,
    UNKNOWN_TYPE,
    Made,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobstream.app import App
    from jobstream.enqueue.around import EnqueueLayer
    from jobstream.enqueue.composing import Composed, JobKind
    from jobstream.job import Job
    from jobstream_processors.core.ticks import Calendar
    from jobstream_processors.ports import Log, Sink
    from jobstream_schemas import Catalogue, ScheduleRecord

log = logging.getLogger("jobstream.scheduler")

ARGS_KEPT = 10_000


class AppTicks:
    """Makes calendars and jobs of definitions by the code of one app. Used by one thread."""

    def __init__(self, app: App, catalogue: Catalogue, now_ms: Callable[[], int]) -> None:
        self._jobs = app.jobs_by_name
        self._declared = app.schedules.declared
        self._plans = app.plans()
        self._catalogue = catalogue
        self._args: dict[tuple[str, bytes], Any] = {}
        """Decoded args by job type and event: to read them takes as long as to compose a job."""
        self._compose = Composer(now_ms, app.settings.enqueue_bytes_max).compose
        self._layers: Sequence[EnqueueLayer] = ()
        if app.middlewares:
            from jobstream.enqueue.around import layers_of  # noqa: PLC0415 - most apps have none

            self._layers = layers_of(app.middlewares)

    def calendar(self, definition: ScheduleRecord) -> Calendar:
        """Its calendar; raises ScheduleBroken."""
        self._job_of(definition)
        if definition.source in {CODE, DROPPED} and definition.name not in self._declared:
            raise ScheduleBroken(UNDECLARED, GONE_FROM_CODE)
        self._args_of(definition)
        try:
            return calendar_of(definition)
        except InvalidOption as error:
            raise ScheduleBroken(CALENDAR, str(error)) from error

    def job(self, definition: ScheduleRecord, job_id: str, tick_ms: int) -> Made:
        """The job of a tick; raises ScheduleBroken."""
        job, args = self._job_of(definition), self._args_of(definition)
        try:
            _, record = self._composed(job.kind, args, job_id)
        except (ConfigError, EnqueueError) as error:
            raise ScheduleBroken(ARGS, str(error)) from error
        rows = (self._plans[job.queue.name].dedup, record.partition)
        headers = scheduled(definition.name, tick_ms) + (record.headers or [])
        return Made(record._replace(headers=headers), rows)

    def _composed(self, kind: JobKind, args: Any, job_id: str) -> Composed:  # noqa: ANN401 - generic in the job type
        if not self._layers:
            return self._compose(kind, args, When(), job_id)
        from jobstream.enqueue.around import compose_tick  # noqa: PLC0415 - as above

        return compose_tick(self._layers, self._compose, kind, args, job_id)

    def _job_of(self, definition: ScheduleRecord) -> Job[Any, Any]:
        job = self._jobs.get(definition.job_type)
        if job is None:
            message = f"the code has no job type {definition.job_type!r}"
            raise ScheduleBroken(UNKNOWN_TYPE, message)
        return job

    def _args_of(self, definition: ScheduleRecord) -> Any:  # noqa: ANN401 - generic in the job type
        job, event = self._job_of(definition), definition.event
        if (known := self._args.get((job.name, event))) is not None:
            return known
        args = args_in(definition, job, self._catalogue)
        if len(self._args) >= ARGS_KEPT:
            self._args.clear()
        self._args[job.name, event] = args
        return args


def publish_declared(app: App, reader: Log, sink: Sink) -> None:
    """Write the code's definitions that the topic does not have yet, and every writer schema.

    Blocks for that. Definitions of a code before this one are marked as dropped, so that commands
    know it which do not know the code.

    The process that starts last decides. What operators wrote, and what another version of
    jobstream wrote, stays as it is.
    """
    topic = schedules_topic(app.name)
    follower = ScheduleFollower(reader, topic, SCHEDULE_PARTITIONS)
    follower.catch_up()
    wanted = {
        name: kept_since(made, follower.schedules.get(name))
        for name, made in app.schedules.declared.items()
    }
    changed = [made for name, made in wanted.items() if _differs(made, name, follower)]
    dropped = [
        known.definition._replace(source=DROPPED, since_ms=known.since_ms)
        for name, known in follower.schedules.items()
        if name not in wanted and known.definition is not None and known.definition.source == CODE
    ]
    # Jobs of any type may follow, and a reader must have its schema by then.
    records = [schema_record(schemas_topic(app.name), schema) for schema in app.schemas()]
    records += [schedule_record(topic, SCHEDULE_PARTITIONS, made) for made in changed + dropped]
    sink.publish(records)
    if changed:
        log.info("schedules_written", extra={"schedules": [made.name for made in changed]})
    if dropped:
        log.warning("schedules_dropped", extra={"schedules": [made.name for made in dropped]})


def _differs(made: ScheduleRecord, name: str, follower: ScheduleFollower) -> bool:
    known = follower.schedules.get(name)
    if known is None or (known.definition is None and not known.unreadable):
        return True
    if known.unreadable:
        told: Mapping[str, object] = {"schedule": name, "reason": known.unreadable}
        log.warning("schedule_kept", extra=told)
        return False
    before = known.definition
    if before is not None and before.source not in {CODE, DROPPED}:
        extra = {"schedule": name, "who": before.who}
        log.warning("schedule_taken_over", extra=extra)
    return before is None or before._replace(since_ms=0) != made._replace(since_ms=0)
