"""The application: its name, its queues and job types, and the client that enqueues.

It joins the client only: importing it loads no part of a worker. Roles join those.
"""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, overload

from jobstream.aftermath import Aftermath
from jobstream.breaker_declaration import breakers_of
from jobstream.control import Control
from jobstream.enqueue.composing import JobKind
from jobstream.enqueue.connection import Connection
from jobstream.errors import ConfigError
from jobstream.job import Job
from jobstream.job_declaration import (
    DeclareOptions,
    DecoratorOptions,
    aliases_of,
    args_type_of,
    job_keys,
    job_options,
    uniqueness,
)
from jobstream.job_queue import Queue
from jobstream.schedule_decorators import Scheduling
from jobstream.settings import Settings
from jobstream.surroundings import Surroundings
from jobstream.topics.sizes import size_of
from jobstream_processors.core.orders import HOLD_BREAKER, PAUSE_QUEUE, SET_LIMIT
from jobstream_processors.errors import InvalidOption
from jobstream_schemas import JobCodec, SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Never, Unpack

    from prometheus_client.registry import Collector

    from jobstream.enqueue.client import Client
    from jobstream.enqueue.transport import Transport
    from jobstream.job_queue import Mode
    from jobstream.settings import Overrides
    from jobstream.topics.sizes import SizeName
    from jobstream_processors.context import Context
    from jobstream_processors.core.breaker import Breaker
    from jobstream_processors.core.duration import Duration
    from jobstream_processors.job_types import JobSpec
    from jobstream_processors.queue_plan import QueuePlan
    from jobstream_schemas import JobSchema

Args = TypeVar("Args")
Result = TypeVar("Result")
_Called = TypeVar("_Called", bound="Callable[..., Any]")

DEFAULT = "default"
_APP_NAME = re.compile(r"[a-z0-9-]{1,60}")
_JOB_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,127}")
JOB_OPTIONS = DecoratorOptions.__annotations__.keys()
DECLARE_OPTIONS = DeclareOptions.__annotations__.keys()
QUEUE_OPTIONS = [each.name for each in fields(Queue) if each.name != "name"]


class JobDecorator(Protocol):
    """The decorator that `App.job(...)` returns: takes a handler, gives a job type."""

    @overload
    def __call__(self, function: Callable[[Args], Result]) -> Job[Args, Result]: ...
    @overload
    def __call__(self, function: Callable[[Args, Context], Result]) -> Job[Args, Result]: ...


class App(Scheduling, Aftermath, Surroundings):
    """An application that enqueues and runs jobs. Its name prefixes every topic and group.

    Settings come from JOBSTREAM_* variables; keyword arguments override them. `size` says how many
    partitions its queues have that declare no count: 12, or "small", 4 and one for each rung of
    the delay ladder. `schedules` is for an app whose code declares none, and which gets them at run
    time: its topics include that of schedules. Making an App connects to nothing. Raises
    ConfigError.
    """

    def __init__(
        self,
        name: str,
        *,
        size: SizeName = "standard",
        schedules: bool = False,
        settings: Settings | None = None,
        **overrides: Unpack[Overrides],
    ) -> None:
        if not isinstance(name, str) or not _APP_NAME.fullmatch(name):
            message = f"app name {name!r}: 1 to 60 of a-z, 0-9 and '-'"
            raise ConfigError(message)
        self.name = name
        self.settings = settings if settings is not None else Settings.load(**overrides)
        self._size = size_of(size)
        self._has_schedules = schedules
        self.found_at: tuple[str, str] | None = None
        """Module and path under which a command found it; None where code made it."""
        self._queues: dict[str, Queue] = {}
        self._plans: dict[str, QueuePlan] = {}
        self._jobs: dict[str, Job[Any, Any]] = {}
        Aftermath.__init__(self)
        Surroundings.__init__(self)
        self._connection = Connection(name, self.settings, self._plans, self.middlewares)

    def __repr__(self) -> str:
        return f"<App {self.name!r}: {len(self._queues)} queues, {len(self._jobs)} job types>"

    def queue(
        self,
        name: str,
        *,
        partitions: int | None = None,
        retention: Duration = "14d",
        dedup: Duration = "24h",
        rungs: Mapping[str, int] | None = None,
        slo: Duration = "5m",
        depth_max: int | None = None,
        age_max: Duration | None = None,
        mode: Mode = "refuse",
        weight: int = 1,
        **unknown: Never,
    ) -> Queue:
        """Declare a queue: a topic of its own with its own ladder, dead letters and dedup table.

        `partitions` says how many the queue has, `rungs` how many single rungs of its delay ladder
        have, the queue's number at most; what is not said is by the app's `size`. A queue that
        exists grows by a command, and never shrinks. `retention` bounds how long a job may wait
        unread. `dedup` is the dedup window: how long a settled job is remembered. `slo` is what
        the queue promises: no job is to be overdue for longer; alerts go by it, nothing else does.
        `depth_max` and `age_max` bound the unfinished jobs on the queue, and how long the oldest of
        them has been there: beyond, enqueues raise QueueBehind, or with `mode="warn"` only tell so
        in the log. It goes by a look that is some seconds old, and refuses nothing that it does not
        know.
        `weight`, from 1 to 100, is its share of a worker's slots while several queues have work.
        Declaring it again the same way is harmless; raises ConfigError for a bad value or another
        declaration under the name.
        """
        _check_options(unknown, QUEUE_OPTIONS, "queue option")
        queue = Queue(
            name,
            partitions=self._size.partitions if partitions is None else partitions,
            retention=retention,
            dedup=dedup,
            rungs={**self._size.rungs, **(rungs or {})},
            slo=slo,
            depth_max=depth_max,
            age_max=age_max,
            mode=mode,
            weight=weight,
        )
        known = self._queues.get(name)
        if known is not None and known != queue:
            message = f"queue {name!r} is declared already in another way: {known}"
            raise ConfigError(message)
        self._queues[name] = queue
        self._plans[name] = replace(queue.plan(self.name), release=self.settings.release or "")
        return queue

    @overload
    def job(self, function: Callable[[Args], Result], /) -> Job[Args, Result]: ...
    @overload
    def job(self, function: Callable[[Args, Context], Result], /) -> Job[Args, Result]: ...
    @overload
    def job(self, /, **options: Unpack[DecoratorOptions]) -> JobDecorator: ...
    def job(self, function: Any = None, /, **options: Any) -> Any:
        """Make a function the handler of a job type; a decorator, bare or with options.

        The type's name is `name` or the function's own; `aliases` are names it had before, oldest
        first, so that jobs in the queue still find it and derived ids stay the same. The first
        parameter's annotation, a dataclass, gives the arguments. `timeout` limits each run.
        `on_failure="hold_key"` retries in place with the order key held, instead of by way of
        the delay ladder. `executor="process"` runs it in a process that can be killed. `expect`
        is the run time that is normal; it changes nothing but what dashboards and alerts compare
        runs with. `order_by`, `unique`, `debounce`, `limits` and `fair_by` say when its jobs may
        run, by fields of their args; `breaker` names what it calls: while that fails, its jobs
        wait. Raises ConfigError.
        """
        _check_options(options, JOB_OPTIONS)

        def decorate(handler: Callable[..., Any]) -> Job[Any, Any]:
            args_type = args_type_of(handler)
            given = options.get("name")
            name = handler.__name__ if given is None else given
            made = self._declare(name, args_type, options)
            made.handler(handler)
            return made

        return decorate(function) if function is not None else decorate

    def declare(
        self,
        name: str,
        args_type: type[Args],
        **options: Unpack[DeclareOptions],
    ) -> Job[Args, Any]:
        """Declare a job type without its handler, for a producer that imports no worker code.

        The worker's side adds it with `@thejob.handler`. Options as in `job`.
        """
        _check_options(options, DECLARE_OPTIONS)
        return self._declare(name, args_type, options)

    @property
    def queues(self) -> Mapping[str, Queue]:
        """The declared queues by name."""
        return dict(self._queues)

    @property
    def jobs_by_name(self) -> Mapping[str, Job[Any, Any]]:
        """The job types by every name they answer to."""
        return {name: job for job in self._jobs.values() for name in (job.name, *job.aliases)}

    @property
    def jobs(self) -> Mapping[str, Job[Any, Any]]:
        """The job types by name, without aliases."""
        return dict(self._jobs)

    @property
    def breakers(self) -> Mapping[str, Breaker]:
        """The circuit breakers that job types declare, by name."""
        return breakers_of((job.name, job.breaker) for job in self._jobs.values())

    @property
    def client(self) -> Client:
        """The client that enqueues; made at first use, and anew after `bind`.

        Raises EnqueueError in a handler that is called directly, unless the app is bound.
        """
        return self._connection.client()

    def metrics(self) -> Collector:
        """The counts of this process's enqueues, for the Prometheus registry of a service.

        `REGISTRY.register(app.metrics())`, once per app. Needs the extra `metrics`: raises
        ConfigError without it. Workers expose it by themselves.
        """
        try:
            from jobstream.observe.enqueue_metrics import EnqueueCollector  # noqa: PLC0415 - extra
        except ImportError as error:
            message = f"app.metrics() needs the extra: pip install 'jobstream[metrics]' ({error})"
            raise ConfigError(message) from error
        return EnqueueCollector(
            lambda: [job.counts for job in list(self._jobs.values())],
            lambda: self._connection.doors,
        )

    @property
    def control(self) -> Control:
        """Pause, resume, cancel, quiet, hold breakers. Each call contacts the broker."""
        return Control(self.name, self._connection.client, self._names_of, self._jobs)

    def plan(self, queue: Queue) -> QueuePlan:
        """Where the queue's records live."""
        return self._plans[queue.name]

    def plans(self, names: Iterable[str] | None = None) -> dict[str, QueuePlan]:
        """The plans of the named queues (of all, if None); raises ConfigError."""
        wanted = list(self._plans if names is None else names)
        unknown = [name for name in wanted if name not in self._plans]
        if unknown:
            there = ", ".join(sorted(self._plans)) or "none"
            message = f"app {self.name!r} declares no queue {unknown[0]!r}; it declares: {there}"
            raise ConfigError(message)
        return {name: self._plans[name] for name in wanted}

    def specs(self) -> dict[str, JobSpec]:
        """Job types with a handler, by every name they answer to."""
        found: dict[str, JobSpec] = {}
        breakers = self.breakers
        for job in self._jobs.values():
            if job.spec is not None:
                breaker = breakers[job.breaker.name] if job.breaker is not None else None
                function, wants_context = self._with_middleware(
                    job.name, job.spec.function, wants_context=job.spec.wants_context
                )
                spec = replace(
                    job.spec,
                    app_at=self.found_at,
                    function=self._run_as(function),
                    wants_context=wants_context,
                    breaker=breaker,
                )
                found.update(dict.fromkeys((job.name, *job.aliases), spec))
        return found

    def without_handler(self, queues: Iterable[str]) -> list[str]:
        """Names of the job types on these queues that were declared and given no handler."""
        names = set(queues)
        return [j.name for j in self._jobs.values() if j.spec is None and j.queue.name in names]

    def schemas(self) -> list[JobSchema]:
        """The writer schemas of every job type."""
        return [job.codec.schema for job in self._jobs.values()]

    def bind(self, transport: Transport | None) -> None:
        """Send through `transport` from now on; None goes back to Kafka. For tests."""
        self._connection.bind(transport)

    def close(self) -> None:
        """Send what is queued (at most 5 s) and disconnect; the next enqueue connects anew."""
        self._connection.close()

    def _has_client(self) -> bool:
        return self._connection.has_begun

    def _run_as(self, function: _Called) -> _Called:
        """The function as a worker runs it: within Django, if that is set up and not unwanted."""
        if not self.settings.django:
            return function
        from jobstream.django_requests import around  # noqa: PLC0415 - workers alone need it

        return cast("_Called", around(function))

    def _names_of(self, kind: str) -> set[str]:
        """The queues, job types, breakers or limits that an entry of that kind can be about."""
        if kind == PAUSE_QUEUE:
            return set(self._queues)
        if kind == HOLD_BREAKER:
            return set(self.breakers)
        if kind == SET_LIMIT:
            return {name for job in self._jobs.values() for name in job.limits_by_name}
        return set(self.jobs_by_name)

    def _declare(
        self, name: str, args_type: type[Any], options: Mapping[str, Any]
    ) -> Job[Any, Any]:
        aliases = aliases_of(name, options)
        for each in (name, *aliases):
            self._check_name(each)
        given = options.get("queue")
        queue: Queue = self._default() if given is None else given
        if queue not in self._queues.values():
            called = getattr(queue, "name", queue)
            give = "give a Queue of it"
            if given and isinstance(given, str):
                give = f"give what app.queue({given!r}) returned"
            message = f"job {name!r}: queue {called!r} is not one of this app's: {give}"
            raise ConfigError(message)
        # Ids are made from the first name, so that they stay the same when the type is renamed.
        first_name = (*aliases, name)[0]
        try:
            codec, wanted = JobCodec(args_type, name), job_options(name, queue, options)
            keys = job_keys(first_name, queue, codec, options)
            unique = uniqueness(first_name, queue, wanted.unique, options)
        except (InvalidOption, SchemaError) as error:
            message = f"job {name!r}: {error}"
            raise ConfigError(message) from error.__cause__
        door = self._connection.door(queue)
        kind = JobKind(codec, self._plans[queue.name], first_name, keys, unique, door)
        made: Job[Any, Any] = Job(self._connection, name, queue, kind, wanted, aliases)
        breakers_of((job.name, job.breaker) for job in (*self._jobs.values(), made))
        self._jobs[name] = made
        return made

    def _default(self) -> Queue:
        """The queue of job types that name none; there is none before the first of them."""
        return self._queues.get(DEFAULT) or self.queue(DEFAULT)

    def _check_name(self, name: str) -> None:
        if not (isinstance(name, str) and _JOB_NAME.fullmatch(name)):
            message = (
                f"job name {name!r}: letters, digits, '_', '.', '-', up to 128, "
                "beginning with a letter; names that begin with '_' are jobstream's own"
            )
            raise ConfigError(message)
        taken = {alias: job for job in self._jobs.values() for alias in (job.name, *job.aliases)}
        if name in taken:
            message = f"job name {name!r} is taken by {taken[name]!r}; give another name="
            raise ConfigError(message)


def _check_options(
    options: Mapping[str, Any], known: Iterable[str], kind: str = "job option"
) -> None:
    if unknown := sorted(options.keys() - set(known)):
        message = f"no {kind} {unknown[0]!r}; there are {', '.join(sorted(known))}"
        raise ConfigError(message)
