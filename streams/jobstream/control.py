"""Control entries from Python: pause, resume, cancel, quiet, drain, breakers.

Each call writes one record to the control topic and waits for its acknowledgement. Workers act on
it within two seconds; a call may return before they do.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jobstream.control_listing import shown
from jobstream.enqueue.acks import retold
from jobstream.errors import BrokerRefused, BrokerUnavailable, ConfigError, EnqueueError
from jobstream.job import Job
from jobstream.job_queue import Queue
from jobstream.kafka.follow.control_topic import (
    ControlFollower,
    entry_of,
    lifted_record,
    told_record,
)
from jobstream.topics.names import control_topic
from jobstream_processors.core.duration import to_ms
from jobstream_processors.core.orders import (
    CANCEL,
    DRAIN,
    HOLD_BREAKER,
    LASTS_MS,
    LASTS_MS_MAX,
    LASTS_MS_MIN,
    NO_LIMITS,
    OPEN,
    PAUSE_QUEUE,
    PAUSE_TYPE,
    QUIET,
    SET_LIMIT,
    Order,
    check,
    names_workers,
)
from jobstream_processors.errors import InvalidOption, TableUnavailable
from jobstream_schemas import ControlRecord as Said
from jobstream_schemas.wire_names import is_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from jobstream.breaker_control import BreakerControl
    from jobstream.control_listing import ControlEntry
    from jobstream.enqueue.client import Client
    from jobstream.limit_control import LimitControl
    from jobstream_processors.core.duration import Duration
    from jobstream_processors.ports import Outgoing


_ORIGIN = "@"
"""Begins the name of a job that has no id to be trusted: the place of its first record."""
_WHAT = {PAUSE_QUEUE: "queue", PAUSE_TYPE: "job type", HOLD_BREAKER: "breaker", SET_LIMIT: "limit"}


class Control:
    """Tells the workers of one app what to leave; `App.control` is one. Safe in any thread.

    Every method but `entries` blocks for at most about three times the enqueue timeout, and raises
    EnqueueTimeout, TopicMissing or another EnqueueError if the entry is not known to be written:
    its `may_be_written` says whether it may be in force all the same. A return proves that it is.
    Repeating a call is always harmless, it writes the same entry again; its time begins anew then.
    `who` is by default the user of this process at this machine.
    """

    def __init__(
        self,
        app: str,
        client: Callable[[], Client],
        names: Callable[[str], Collection[str]],
        jobs: Mapping[str, Job[Any, Any]],
    ) -> None:
        self._topic = control_topic(app)
        self._client = client
        self._names = names
        self._jobs = jobs

    def pause(
        self,
        *,
        queue: Queue | str | None = None,
        job: Job[Any, Any] | str | None = None,
        why: str = "",
        for_: Duration | None = None,
        who: str | None = None,
    ) -> ControlEntry:
        """Start no more jobs of a queue, or of a job type; what runs goes on. Give one of both.

        It ends by itself: after 24 hours, or `for_` (1 second to 366 days). Jobs stay where they
        are and nothing expires sooner for it. Raises ConfigError for a name the app doesn't have.
        """
        return self.tell(*self._subject(queue, job), why=why, for_=for_, who=who)

    def resume(
        self,
        *,
        queue: Queue | str | None = None,
        job: Job[Any, Any] | str | None = None,
        job_id: str | None = None,
    ) -> None:
        """End the pause of a queue or of a job type, or the cancel of a job, if there is one.

        A job that a worker has settled as cancelled stays cancelled.
        """
        if job_id is not None:
            self.lift(CANCEL, job_id)
        else:
            self.lift(*self._subject(queue, job))

    def cancel(
        self,
        job_id: str,
        *,
        why: str = "",
        for_: Duration | None = None,
        who: str | None = None,
    ) -> ControlEntry:
        """Cancel a job, whether it is queued, waits on the ladder, or runs.

        A running async handler is cancelled and a child process killed; a thread learns of it
        from `ctx.is_cancelled`. If the handler returns, the job is done. In force for 30 days, or
        `for_`: a job that waits for longer than that runs.
        """
        return self.tell(CANCEL, job_id, why=why, for_=for_, who=who)

    def cancel_each(
        self,
        job_ids: Iterable[str],
        *,
        why: str = "",
        for_: Duration | None = None,
        who: str | None = None,
    ) -> Iterator[tuple[str, EnqueueError | None]]:
        """Cancel many jobs, one after the other as the iterator goes on, each acknowledged.

        It yields each id with what kept its entry from being written, or None. Raises ConfigError
        at once, before anything is written. 50,000 entries are kept by a worker, of all kinds.
        """
        records = [
            (each, told_record(self._topic, self._said(CANCEL, each, why, for_, who)))
            for each in job_ids
        ]

        def written() -> Iterator[tuple[str, EnqueueError | None]]:
            for job_id, record in records:
                try:
                    self._write(record)
                except EnqueueError as error:
                    yield job_id, error
                else:
                    yield job_id, None

        return written()

    def quiet(
        self,
        worker: str,
        *,
        why: str = "",
        for_: Duration | None = None,
        who: str | None = None,
    ) -> ControlEntry:
        """Quiet a worker: it finishes its running jobs and starts no new ones.

        `worker` is `host:pid`, or the beginning of such names and `*`. Ends after an hour, or
        `for_`. The worker keeps its partitions, so their jobs wait all the while.
        """
        return self.tell(QUIET, worker, why=why, for_=for_, who=who)

    def unquiet(self, worker: str) -> None:
        """Let a worker take jobs again; `worker` exactly as it was given to `quiet`."""
        self.lift(QUIET, worker)

    def drain(self, worker: str, *, why: str = "", who: str | None = None) -> ControlEntry:
        """Let a worker drain and leave, as SIGTERM does; its partitions go to the others.

        `worker` is `host:pid`, or the beginning of such names and `*`; `*` alone is refused with
        ConfigError. Workers that have joined their group obey, each once; those that start later do
        not, so a worker that is started anew stays. The entry ends after 5 minutes: a worker that
        can't read it until then goes on. It can't be taken back from a worker that has read it.
        """
        return self.tell(DRAIN, worker, why=why, for_=None, who=who)

    def breaker(self, name: str) -> BreakerControl:
        """Hold a circuit breaker open or closed, or release it.

        Writes nothing by itself. Raises ConfigError for a name that no job type of the app gives.
        """
        from jobstream.breaker_control import BreakerControl  # noqa: PLC0415 - few need it

        return BreakerControl(self, self._known(HOLD_BREAKER, name))

    def limit(self, name: str) -> LimitControl:
        """Change the numbers of a limit of a job type, or leave it to the code again.

        `name` is `TYPE/rate` or `TYPE/concurrency`, with `/FIELD` behind it for a limit with `per=`
        (`+` between several fields); the second of a name is `TYPE/rate#2`. Writes nothing by
        itself. Raises ConfigError for a name that no job type of the app gives.
        """
        from jobstream.limit_control import LimitControl  # noqa: PLC0415 - few need it

        return LimitControl(self, self._known(SET_LIMIT, name), self._jobs.values())

    def entries(self) -> list[ControlEntry]:
        """The entries in force now, by this machine's clock, oldest first.

        Blocks while it reads the whole topic. It writes nothing: raises TopicMissing,
        EnqueueTimeout or BrokerUnavailable, which may be tried again, and BrokerRefused.
        """
        follower = ControlFollower(self._client().transport.log(), self._topic)
        self._client().require(self._topic)
        try:
            follower.catch_up()
        except TableUnavailable as error:
            message = f"what is in force is not known: {error}; nothing was written, try again"
            raise BrokerUnavailable(message) from error
        now_ms = self._client().transport.now_ms()
        return [shown(entry) for entry in follower.entries() if entry.is_in_force(now_ms)]

    def tell(
        self,
        kind: str,
        subject: str,
        *,
        why: str,
        for_: Duration | None,
        who: str | None,
        limits: Mapping[str, int] = NO_LIMITS,
    ) -> ControlEntry:
        """Write an entry of any kind; `subject` is not looked up. Raises ConfigError.

        A quiet or drain whose subject no worker can have is refused, too: `host` without `:pid` or
        `*`.

        The times of what it returns are the broker's; this machine's where that can't be asked.
        """
        if kind in {QUIET, DRAIN} and not names_workers(subject):
            message = (
                f"no worker is called {subject!r:.100}, so nothing was written: give HOST:PID, "
                "as `jobstream status` shows it, or the beginning of such names and *"
            )
            raise ConfigError(message)
        said = self._said(kind, subject, why, for_, who, limits)
        place = self._write(told_record(self._topic, said))
        # It is in force from here on, so nothing below may fail.
        now_ms = self._client().transport.now_ms()
        entry = Order(kind, subject, said.who, why, now_ms, now_ms + said.lasts_ms, limits)
        return shown(self._taken(place) or entry)

    @staticmethod
    def _said(  # noqa: PLR0917 - an entry has as many parts
        kind: str,
        subject: str,
        why: str,
        for_: Duration | None,
        who: str | None,
        limits: Mapping[str, int] = NO_LIMITS,
    ) -> Said:
        from jobstream.caller_name import myself  # noqa: PLC0415 - most producers give no order

        said_by = myself() if who is None else who
        try:
            lasts_ms = LASTS_MS[kind] if for_ is None else _lasts_ms(for_)
            check(kind, subject, said_by, why, lasts_ms, limits)
        except InvalidOption as error:
            raise ConfigError(str(error)) from error.__cause__
        if kind == CANCEL and is_id(subject) is None and not subject.startswith(_ORIGIN):
            message = f"{subject!r} can't be the id of a job, so nothing was written"
            raise ConfigError(message)
        return Said(kind, subject, said_by, why, lasts_ms, limits)

    def lift(self, kind: str, subject: str) -> None:
        """End an entry of any kind; harmless if there is none."""
        try:
            check(kind, subject, "", "", LASTS_MS[kind], {OPEN: 0})
        except InvalidOption as error:
            raise ConfigError(str(error)) from error.__cause__
        self._write(lifted_record(self._topic, kind, subject))

    def _taken(self, place: int) -> Order | None:
        """The entry as the broker has it; None if another one replaced it, or no broker answers."""
        with suppress(BrokerUnavailable, BrokerRefused, TableUnavailable):
            for batch in self._client().transport.log().read((self._topic, 0), place, place + 1):
                for record in batch:
                    return entry_of(record)
        return None

    def _write(self, record: Outgoing) -> int:
        self._client().require(self._topic)
        try:
            return self._client().send(record)[1]
        except EnqueueError as error:
            outcome = "may be in force" if error.may_be_written else "was not written"
            what = (record.key or b"").decode()
            text = f"control entry {what}: {error}; it {outcome}, and a repeat is harmless"
            raise retold(error, text, may_be_written=error.may_be_written) from error.__cause__

    def _subject(
        self, queue: Queue | str | None, job: Job[Any, Any] | str | None
    ) -> tuple[str, str]:
        if (queue is None) == (job is None):
            message = "give queue= or job=, one of them"
            raise ConfigError(message)
        kind, given = (PAUSE_QUEUE, queue) if job is None else (PAUSE_TYPE, job)
        name = given.name if isinstance(given, Queue | Job) else str(given)
        return kind, self._known(kind, name)

    def _known(self, kind: str, name: str) -> str:
        """The name, if the app declares it; raises ConfigError."""
        known = self._names(kind)
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            message = f"no {_WHAT[kind]} {name!r:.200}; declared are {there}"
            raise ConfigError(message)
        return name


def _lasts_ms(for_: Duration) -> int:
    return to_ms(for_, name="for_", least_ms=LASTS_MS_MIN, most_ms=LASTS_MS_MAX)
