"""Schedules of one app: declared by its code, or added, paused and run at run time.

Code and operators write under keys of their own, so a deploy never undoes a pause. Each call writes
one record and waits for its acknowledgement; the scheduler that owns the schedule acts on it within
a second.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import uuid_utils

from jobstream.caller_name import myself
from jobstream.enqueue.acks import retold
from jobstream.errors import BrokerUnavailable, ConfigError, EnqueueError
from jobstream.job import Job
from jobstream.kafka.follow.schedule_topic import (
    ScheduleFollower,
    lifted_record,
    schedule_record,
)
from jobstream.kafka.follow.schema_topic import SchemaFollower, schema_record
from jobstream.schedule_declaration import (
    CODE,
    DROPPED,
    RUN_TIME,
    Timing,
    definition,
    same_calendar,
)
from jobstream.schedule_view import (
    NOT_YET,
    KnownCode,
    Schedule,
    definition_in,
    epoch_ms,
    preview,
    shown_schedule,
    ticks_of,
    trouble_of,
)
from jobstream.topics.names import schedules_topic, schemas_topic
from jobstream.topics.specs import SCHEDULE_PARTITIONS
from jobstream_processors.core.duration import to_ms
from jobstream_processors.errors import InvalidOption, TableUnavailable
from jobstream_processors.schedule.schedule_book import Scheduled
from jobstream_schemas import Catalogue, OrderRecord, schedule_key
from jobstream_schemas.schedule_records import BACKFILL, PAUSE, PLACE, RESUME, RUN, SCHEDULE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobstream.enqueue.client import Client
    from jobstream.kafka.follow.compacted import Compacted
    from jobstream_processors.core.duration import Duration
    from jobstream_schemas import ScheduleEntry, ScheduleRecord

BACKFILL_MAX = 10_000
"""Ticks of one backfill; it is refused beyond, so that nobody enqueues a million by mistake."""
PREVIEW_MAX = 1_000
WHY_CHARS_MAX = 1_000


class Schedules:
    """The schedules of one app; `App.schedules` is one. Safe in any thread.

    Every method that writes blocks for at most about three times the enqueue timeout, and raises
    EnqueueTimeout, TopicMissing or another EnqueueError if what it wrote is not known to be there.
    Those that read read the whole topic, and raise BrokerUnavailable where that fails. A name that
    no schedule has is a ConfigError.
    """

    def __init__(
        self,
        app: str,
        client: Callable[[], Client],
        jobs: Callable[[], Mapping[str, Job[Any, Any]]],
    ) -> None:
        """`jobs` gives the job types by every name; none where the app's code is not known."""
        self._app = app
        self._topic = schedules_topic(app)
        self._client = client
        self._jobs = jobs
        self.declared: dict[str, ScheduleRecord] = {}
        """The definitions of the code, by name."""

    @property
    def is_used(self) -> bool:
        """Whether the code declares any."""
        return bool(self.declared)

    def declare(self, name: str | None, job: Any, timing: Timing, args: object) -> None:  # noqa: ANN401 - to be looked at
        """Declare a schedule in code; raises ConfigError."""
        if not isinstance(job, Job):
            message = (
                f"a schedule of {job!r}: put @app.cron above @app.job, which makes the job type"
            )
            raise ConfigError(message)
        self._must_be_ours(job)
        wanted = job.name if name is None else name
        if wanted in self.declared:
            message = (
                f"schedule {wanted!r} is declared already; a job type's second schedule needs a "
                f"name of its own: name='{wanted}-2'"
            )
            raise ConfigError(message)
        self.declared[wanted] = definition(wanted, job, timing, args, CODE)

    def add(
        self,
        name: str,
        job: Job[Any, Any],
        args: object = None,
        *,
        cron: str = "",
        tz: str = "UTC",
        every: Duration | None = None,
        anchor: datetime | None = None,
        missed: str = "one",
        catch_up: Duration = "1h",
        overlap: str = "skip",
        spread: Duration = 0,
        who: str | None = None,
    ) -> None:
        """Add a schedule, or change one that was added; options as in `App.cron` and `App.every`.

        One that the code declares is changed in code. Where its ticks change, those before now do
        not count; where only the rest does, no tick is lost. Raises ConfigError.
        """
        if not isinstance(job, Job):
            message = f"a schedule of {job!r}: give the job type, what @app.job has made"
            raise ConfigError(message)
        self._must_be_ours(job)
        timing = Timing(cron, tz, every, anchor, missed, catch_up, overlap, spread)
        said_by = _short("who", myself() if who is None else who)
        made = definition(name, job, timing, args, RUN_TIME, said_by)
        known = self._read().get(name)
        if name in self.declared or _source(known) in {CODE, DROPPED}:
            fix = "change it there" if name in self.declared else "remove it first, if no more so"
            message = f"schedule {name!r} is declared in code: {fix}, or take another name"
            raise ConfigError(message)
        if known is not None and known.unreadable:
            message = f"schedule {name!r} was written by another version: {known.unreadable}"
            raise ConfigError(message)
        self._client().send(schema_record(schemas_topic(self._app), job.codec.schema))
        self._write(kept_since(made, known))

    def list(self) -> list[Schedule]:
        """Every schedule, by name; also those that the code declares and no worker knows yet."""
        now_ms = self._client().transport.now_ms()
        there = {name: each for name, each in self._read().items() if not _is_gone(each)}
        known = self._code()
        found = [shown_schedule(each, now_ms, trouble_of(each, known)) for each in there.values()]
        found += [
            shown_schedule(Scheduled(name, made), now_ms, NOT_YET)
            for name, made in self.declared.items()
            if name not in there
        ]
        return sorted(found, key=lambda each: each.name)

    def pause(
        self, name: str, *, why: str = "", for_: Duration | None = None, who: str | None = None
    ) -> None:
        """Let a schedule fire no more, until `resume`, or for `for_`.

        Its ticks are counted as skipped meanwhile and are not made up for: see `backfill`. No
        deploy undoes it.
        """
        found, lasts_ms = self._known(name), 0
        if for_ is not None:
            try:
                lasts_ms = to_ms(for_, name="for_", least_ms=1_000)
            except InvalidOption as error:
                raise ConfigError(str(error)) from error.__cause__
        is_paused = found.is_paused(self._client().transport.now_ms())
        began_ms = found.paused_ms[0] if is_paused else 0
        self._order(name, PAUSE, "", (began_ms, lasts_ms), why, who)

    def resume(self, name: str) -> None:
        """End the pause of a schedule; harmless if there is none."""
        found = self._known(name)
        if found.is_paused(self._client().transport.now_ms()):
            self._order(name, RESUME, "", (found.paused_ms[0], 0), "", None)

    def run(self, name: str, *, why: str = "", who: str | None = None) -> str:
        """Fire a schedule once now, paused or not, whatever else of it runs. Returns a number.

        Its job has this moment for `ctx.scheduled_for`. Its ticks go on as before. Raises
        ConfigError for one of which it is known here that it can't fire. A return does not prove
        that it has fired: that takes a scheduler, and one with the code of its job type.
        """
        self._able(name)
        order_id = str(uuid_utils.uuid7())
        self._order(name, RUN, order_id, (0, 0), why, who)
        return order_id

    def backfill(
        self,
        name: str,
        start: datetime,
        end: datetime,
        *,
        why: str = "",
        who: str | None = None,
    ) -> int:
        """Fire every tick from `start` to `end`, both aware and included; returns how many.

        The ticks are those of the definition as it is now. One that became a job within the dedup
        window is that job, and does not run again. They run as they come, at once: `overlap` is
        not asked. At most 10,000; raises ConfigError beyond, for a time to come or before 1970, and
        for a schedule of which it is known here that it can't fire.
        """
        found = self._able(name)
        now_ms = self._client().transport.now_ms()
        from_ms, until_ms = epoch_ms("start", start), epoch_ms("end", end)
        if until_ms > now_ms or from_ms > until_ms or from_ms < 1:
            message = (
                f"start={start}, end={end}: give a range that ends in the past and begins "
                "after the start of 1970"
            )
            raise ConfigError(message)
        ticks = 0
        for _ in ticks_of(found, from_ms - 1, until_ms):
            ticks += 1
            if ticks > BACKFILL_MAX:
                message = (
                    f"{start} to {end} has more than {BACKFILL_MAX} ticks: take smaller ranges"
                )
                raise ConfigError(message)
        if ticks:
            order_id = str(uuid_utils.uuid7())
            self._order(name, BACKFILL, order_id, (from_ms, until_ms), why, who)
        return ticks

    def preview(
        self, name: str, count: int = 5, *, after: datetime | None = None
    ) -> Sequence[datetime]:
        """The next ticks, or those after a moment, in the schedule's zone; at most 1,000.

        Of a schedule that the code declares without asking a broker.
        """
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= PREVIEW_MAX:
            message = f"count={count!r:.100} is no whole number from 1 to {PREVIEW_MAX:,}"
            raise ConfigError(message)
        declared = self.declared.get(name)
        made = declared if declared is not None else definition_in(self._known(name))
        after_ms = (
            round(datetime.now(UTC).timestamp() * 1000)
            if after is None
            else epoch_ms("after", after)
        )
        if after_ms < 0:
            message = f"after={after}: give a moment from the start of 1970 on"
            raise ConfigError(message)
        return preview(made, count, after_ms)

    def remove(self, name: str) -> None:
        """Remove a schedule, with its pause and its place. Jobs that it made go on.

        One that the code declares comes back with the next worker that starts: remove it there
        first.
        """
        found = self._read().get(name)
        if found is None or _is_gone(found):
            raise _unknown(name, self._read())
        keys = [schedule_key(kind, name) for kind in (SCHEDULE, PAUSE, PLACE)]
        keys += [schedule_key(each.kind, name, each.order_id) for each in found.orders.values()]
        for key in keys:
            self._lift(name, key)

    # -- inside

    def _must_be_ours(self, job: Job[Any, Any]) -> None:
        """Its jobs would go to queues of this app, whose workers do not know the type."""
        if self._jobs().get(job.name) is not job:
            message = (
                f"a schedule of {job.name!r}, which is a job type of another app than "
                f"{self._app!r}: take the app that declares it"
            )
            raise ConfigError(message)

    def _read(self) -> dict[str, Scheduled]:
        client = self._client()
        client.require(self._topic)
        follower = ScheduleFollower(client.transport.log(), self._topic, SCHEDULE_PARTITIONS)
        _catch_up(follower)
        return follower.schedules

    def _known(self, name: str) -> Scheduled:
        there = self._read()
        found = there.get(name)
        if found is not None and not _is_gone(found):
            return found
        if name in self.declared:
            message = f"schedule {name!r} is not there yet: {NOT_YET}"
            raise ConfigError(message)
        raise _unknown(name, there)

    def _able(self, name: str) -> Scheduled:
        """A schedule that may fire; raises ConfigError: an order to another would wait for ever."""
        found = self._known(name)
        if trouble := trouble_of(found, self._code()):
            message = f"schedule {name!r} can't fire, so nothing was written: {trouble}"
            raise ConfigError(message)
        return found

    def _code(self) -> KnownCode:
        """What is known of the code here; reads the schemas topic if any is."""
        jobs, catalogue = self._jobs(), Catalogue()
        if jobs:
            topic = schemas_topic(self._app)
            self._client().require(topic)
            _catch_up(SchemaFollower(self._client().transport.log(), topic, catalogue))
        return KnownCode(jobs, self.declared, catalogue)

    def _order(  # noqa: PLR0917 - the fields of an order
        self,
        name: str,
        kind: str,
        order_id: str,
        span_ms: tuple[int, int],
        why: str,
        who: str | None,
    ) -> None:
        said_by = _short("who", myself() if who is None else who)
        self._write(OrderRecord(name, kind, order_id, said_by, _short("why", why), *span_ms))

    def _write(self, entry: ScheduleEntry) -> None:
        self._send(entry.name, schedule_record(self._topic, SCHEDULE_PARTITIONS, entry))

    def _lift(self, name: str, key: bytes) -> None:
        self._send(name, lifted_record(self._topic, SCHEDULE_PARTITIONS, name, key))

    def _send(self, name: str, record: Any) -> None:  # noqa: ANN401 - an Outgoing
        self._client().require(self._topic)
        try:
            self._client().send(record)
        except EnqueueError as error:
            outcome = "may be written" if error.may_be_written else "was not written"
            text = f"schedule {name!r}: {error}; it {outcome}, and a repeat is harmless"
            raise retold(error, text, may_be_written=error.may_be_written) from error.__cause__


def kept_since(made: ScheduleRecord, known: Scheduled | None) -> ScheduleRecord:
    """The definition that takes the place of `known`: the same ticks go on where they were."""
    if known is None or known.definition is None or not same_calendar(made, known.definition):
        return made
    return made._replace(since_ms=known.since_ms)


def _catch_up(follower: Compacted) -> None:
    try:
        follower.catch_up()
    except TableUnavailable as error:
        message = f"the schedules are not known: {error}; nothing was written, try again"
        raise BrokerUnavailable(message) from error


def _short(option: str, text: str) -> str:
    """`text` if it is one of a length that is shown; raises ConfigError."""
    if not isinstance(text, str):
        message = f"{option}={text!r} is not a text"
        raise ConfigError(message)
    if len(text) > WHY_CHARS_MAX:
        message = f"{option} has {len(text)} characters, at most are {WHY_CHARS_MAX}"
        raise ConfigError(message)
    return text


def _source(found: Scheduled | None) -> str:
    return found.definition.source if found is not None and found.definition is not None else ""


def _is_gone(found: Scheduled) -> bool:
    return found.definition is None and not found.unreadable


def _unknown(name: str, there: Mapping[str, Scheduled]) -> ConfigError:
    names = sorted(each for each, found in there.items() if not _is_gone(found))
    message = f"no schedule {name!r}; there are: {', '.join(names) or 'none'}"
    return ConfigError(message)
