"""A job type as user code holds it: enqueue it, call it, give it its handler."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar, overload

from jobstream.enqueue.acks import unwritten
from jobstream.enqueue.composing import REQUEST, When, refusal, when_of
from jobstream.enqueue.direct import CALLED, call, unasked
from jobstream.errors import ConfigError, EnqueueError
from jobstream.job_declaration import fair_weights
from jobstream_processors.core.identity import check_key, from_parent
from jobstream_processors.core.limit_rule import is_pinned, names_of
from jobstream_processors.core.policy import Policy
from jobstream_processors.errors import InvalidOption
from jobstream_processors.job_types import JobSpec, executor_of, takes_context
from jobstream_schemas import EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from typing import Unpack

    from jobstream.enqueue.client import Client
    from jobstream.enqueue.composing import Composed, JobKind, KeyFor
    from jobstream.enqueue.connection import Connection
    from jobstream.enqueue.enqueued import Enqueued
    from jobstream.enqueue.uniqueness import Override
    from jobstream.job_declaration import JobOptions
    from jobstream.job_queue import Queue
    from jobstream_processors.context import Context
    from jobstream_processors.core.breaker import Breaker
    from jobstream_processors.core.duration import Duration
    from jobstream_processors.core.limit_rule import Limit
    from jobstream_schemas import JobCodec


class ComposeOptions(TypedDict, total=False):
    """What may be said of one job, beside its args; `child_name` of a child alone."""

    delay: Duration | None
    run_at: datetime | None
    key: str | None
    idempotency_key: str | None
    expires_in: Duration | None
    correlation_id: str | None
    unique: Override
    child_name: str | None


Args = TypeVar("Args")
Result_co = TypeVar("Result_co", covariant=True)
_Made = TypeVar("_Made")


class Job(Generic[Args, Result_co]):
    """A job type: `Args` is the dataclass of its arguments, `Result_co` what its handler returns.

    Made by `App.job` and `App.declare`. Safe to use from any thread.
    """

    def __init__(  # noqa: PLR0917 - made by App alone
        self,
        connection: Connection,
        name: str,
        queue: Queue,
        kind: JobKind,
        options: JobOptions,
        aliases: tuple[str, ...] = (),
    ) -> None:
        self._connection = connection
        self._kind = kind
        self.name = name
        self.queue = queue
        self.aliases = aliases
        self.codec: JobCodec[Args] = kind.codec
        self._options = options
        self.counts = kind.counts
        """The counts of what this process enqueued."""
        self.spec: JobSpec | None = None
        """How a worker runs it; None until a handler is given."""

    def __repr__(self) -> str:
        return f"<Job {self.name!r} on queue {self.queue.name!r}>"

    @property
    def kind(self) -> JobKind:
        """How its jobs are composed."""
        return self._kind

    @property
    def timeout_ms(self) -> int:
        """The limit of one run."""
        return self._options.timeout_ms

    @property
    def breaker(self) -> Breaker | None:
        """The circuit breaker that it gives; one given by name has the usual settings here."""
        return self._options.breaker

    @property
    def limits_by_name(self) -> dict[str, Limit]:
        """Its limits by what operators call them, in their order."""
        limits = self._options.limits
        return dict(zip(names_of(self.name, limits), limits, strict=True))

    def enqueue(
        self,
        args: Args,
        *,
        delay: Duration | None = None,
        run_at: datetime | None = None,
        key: str | None = None,
        idempotency_key: str | None = None,
        expires_in: Duration | None = None,
        correlation_id: str | None = None,
        unique: Override = None,
    ) -> Enqueued:
        """Put one job on its queue; blocks until acknowledged by all replicas in sync (5 s).

        `delay` or `run_at` (aware) makes it wait on the delay ladder first, any time ahead. Jobs
        with the same `key` run one at a time in enqueue order. The same `idempotency_key` is the
        same job, however often it is enqueued: within the dedup window (24 h) also one that is
        done, dead or cancelled by now, so this enqueue returns as always and nothing runs.
        `expires_in`: not started later than that. `unique` replaces the type's rule for this job,
        by the same fields; False is none. The brokers' clock counts for all of these, this
        machine's for none. In an HTTP request with a key, `jobstream.web.IdempotencyMiddleware`
        gives jobs without an `idempotency_key` one made from that key.

        Raises EnqueueTimeout (it may still be written), QueueFull, TopicMissing (it is not),
        JobTooLarge, WrongArgs, EnqueueVetoed and MiddlewareFailed of the app's middleware,
        ConfigError for an option, and EnqueueError inside a running event loop. A return proves
        that the job is in the log, not that it ran.
        """
        _refuse_in_loop("aenqueue")
        when = When(delay, run_at, key, idempotency_key, expires_in, correlation_id, unique)
        if (request := REQUEST.get()) is not None:
            with request.sending() as key_for:
                return self._client().enqueue(self._kind, args, self._keyed(key_for, args, when))
        return self._client().enqueue(self._kind, args, when)

    async def aenqueue(
        self,
        args: Args,
        *,
        delay: Duration | None = None,
        run_at: datetime | None = None,
        key: str | None = None,
        idempotency_key: str | None = None,
        expires_in: Duration | None = None,
        correlation_id: str | None = None,
        unique: Override = None,
    ) -> Enqueued:
        """As `enqueue`, without blocking the running event loop."""
        when = When(delay, run_at, key, idempotency_key, expires_in, correlation_id, unique)
        if (request := REQUEST.get()) is not None:
            with request.sending() as key_for:
                keyed = self._keyed(key_for, args, when)
                return await self._client().aenqueue(self._kind, args, keyed)
        return await self._client().aenqueue(self._kind, args, when)

    def enqueue_many(
        self,
        jobs: Iterable[Args],
        *,
        delay: Duration | None = None,
        key: Callable[[Args], str] | None = None,
        idempotency_key: Callable[[Args], str] | None = None,
    ) -> list[str]:
        """Put many jobs on their queue, pipelined; blocks until every one is acknowledged.

        Consumes `jobs` as room allows, so a generator of millions needs little memory but for the
        ids returned. `key` and `idempotency_key` are asked for each job. Raises EnqueuesFailed
        with a bounded list of failures by index; the others are in the log then. An error of
        `jobs` itself is passed on after what was sent before it is acknowledged, or given up.
        """
        _refuse_in_loop("aenqueue_many")
        return self._many(jobs, delay, key, idempotency_key)

    async def aenqueue_many(
        self,
        jobs: Iterable[Args],
        *,
        delay: Duration | None = None,
        key: Callable[[Args], str] | None = None,
        idempotency_key: Callable[[Args], str] | None = None,
    ) -> list[str]:
        """As `enqueue_many`, from a coroutine; `jobs` is consumed on another thread."""
        from jobstream_processors.background import aside  # noqa: PLC0415 - brings in asyncio

        return await aside("jobstream-enqueue-many", self._many, jobs, delay, key, idempotency_key)

    def __call__(self, args: Args, ctx: Context | None = None) -> Result_co:
        """Just run the handler, here and now: no broker, no retry. For unit tests.

        `ctx` is one of `jobstream.testing.context`, or that of the running job that calls. Without
        one, the handler gets a context that collects its child jobs and writes none, which the log
        tells; in a running job that raises ConfigError. Any other enqueue in the handler
        raises EnqueueError, unless the app is bound to a broker in memory.
        """
        if (spec := self.spec) is None:
            message = f"job {self.name!r} is declared without a handler here"
            raise ConfigError(message)
        if not spec.wants_context:
            result: Result_co = call(self, spec.function, args)
            return result
        result = call(self, spec.function, args, ctx if ctx is not None else unasked(self))
        return result  # noqa: RET504 - the annotation above gives it its type

    @overload
    def handler(self, function: Callable[[Args], _Made]) -> Callable[[Args], _Made]: ...
    @overload
    def handler(
        self, function: Callable[[Args, Context], _Made]
    ) -> Callable[[Args, Context], _Made]: ...
    def handler(self, function: Callable[..., _Made]) -> Callable[..., _Made]:
        """Give a declared job type its handler; a decorator. Returns the function unchanged.

        Raises ConfigError if it has one already or the signature does not fit.
        """
        if self.spec is not None:
            message = f"job {self.name!r} has a handler already: {self.spec.function!r}"
            raise ConfigError(message)
        self.spec = self._specify(function)
        return function

    # -- child jobs: what Context.enqueue calls

    def enqueue_child(self, parent: Context, args: Any, options: dict[str, Any]) -> Enqueued:  # noqa: ANN401
        """Enqueue with an id derived from the parent; blocks until acknowledged."""
        _refuse_in_loop("ctx.aenqueue")
        client = self._connection.client_for(parent)
        with self._child(parent, args, options) as (when, job_id):
            return client.enqueue(self._kind, args, when, job_id, parent.job_id)

    async def aenqueue_child(
        self,
        parent: Context,
        args: Any,  # noqa: ANN401 - generic in the job type
        options: dict[str, Any],
    ) -> Enqueued:
        """The same from a running event loop."""
        client = self._connection.client_for(parent)
        with self._child(parent, args, options) as (when, job_id):
            return await client.aenqueue(self._kind, args, when, job_id, parent.job_id)

    # -- a job that other code sends later

    def compose(
        self, args: Args, *, parent: Context | None = None, **options: Unpack[ComposeOptions]
    ) -> Composed:
        """The meta and the record of a job, as an enqueue would send it; contacts no broker.

        With `parent` its id is derived from that job, as for `Context.enqueue`. Raises ConfigError,
        WrongArgs, JobTooLarge, EnqueueVetoed or MiddlewareFailed.
        """
        connection, given = self._connection, dict(options)
        if parent is not None:
            with self._child(parent, args, given) as (when, job_id):
                return connection.compose(self._kind, args, when, job_id, parent.job_id)
        when = when_of(given)
        if (request := REQUEST.get()) is not None:
            with request.sending() as key_for:
                return connection.compose(self._kind, args, key_for(self._kind, args, when))
        return connection.compose(self._kind, args, when)

    def check(self, args: Args, **options: Unpack[ComposeOptions]) -> None:
        """Raise what an enqueue would raise for these args and options, and do nothing else.

        Asks no middleware, no bound of a queue and no broker. Raises ConfigError, WrongArgs or
        JobTooLarge.
        """
        self._connection.check(self._kind, args, when_of(options))

    # -- inside

    def _client(self) -> Client:
        client = self._connection.ready
        if client is None or CALLED.get():
            with self.counts.failing():
                return self._connection.client()
        return client

    def _keyed(self, key_for: KeyFor, args: Args, when: When) -> When:
        """With the key that the running HTTP request gives it."""
        with self.counts.failing():
            return key_for(self._kind, args, when)

    @contextmanager
    def _child(
        self, parent: Context, args: Args, options: dict[str, Any]
    ) -> Iterator[tuple[When, str]]:
        """A child to send inside the block; one that raises leaves its id to a repeat."""
        with self.counts.failing():
            when, name, encoded = self._derived(parent, args, options)
        first_name = self._kind.first_name
        with parent.occurrence(first_name, name, encoded) as number:
            yield when, from_parent(parent.job_id, first_name, name, number)

    def _derived(
        self, parent: Context, args: Args, options: dict[str, Any]
    ) -> tuple[When, str, bytes]:
        """Options of a child; its name, which is in its id; its encoded args."""
        child_name = options.pop("child_name", None)
        if "idempotency_key" in options:
            message = "a child's id comes from its parent; use child_name= instead"
            raise ConfigError(message)
        when = when_of(options)
        try:
            if when.correlation_id is not None:
                check_key("correlation_id", when.correlation_id)
            else:
                # What is inherited may come of a producer of another kind, and is never refused.
                when = replace(when, correlation_id=parent.correlation_id or parent.job_id)
            if child_name is not None:
                check_key("child_name", child_name)
            encoded = self.codec.encode_args(args)
            if child_name is None:
                child_name = f"args:{self.codec.value_digest(args).hex()}"
        except (InvalidOption, EncodeError) as error:
            raise refusal(error) from error.__cause__
        return when, child_name, encoded

    def _many(
        self,
        jobs: Iterable[Args],
        delay: Duration | None,
        key: Callable[[Args], str] | None,
        idempotency_key: Callable[[Args], str] | None,
    ) -> list[str]:
        for option, given in (("key", key), ("idempotency_key", idempotency_key)):
            if given is not None and not callable(given):
                message = (
                    f"{option}={given!r:.80}: for many jobs pass a function of their args, "
                    f"as in {option}=lambda args: args.id"
                )
                raise ConfigError(message)
        same = When(delay=delay)

        def when(args: Args) -> When:
            if key is None and idempotency_key is None:
                return same
            return When(
                delay=delay,
                key=key(args) if key is not None else None,
                idempotency_key=idempotency_key(args) if idempotency_key is not None else None,
            )

        if (request := REQUEST.get()) is not None:
            with request.sending() as key_for:
                keyed = lambda args: key_for(self._kind, args, when(args))  # noqa: E731 - as short as it is
                return self._client().enqueue_many(self._kind, jobs, keyed)
        return self._client().enqueue_many(self._kind, jobs, when)

    def _specify(self, function: Callable[..., Any]) -> JobSpec:
        options = self._options
        try:
            executor = executor_of(self.name, function, options.executor)
            wants_context = takes_context(self.name, function)
        except InvalidOption as error:
            raise ConfigError(str(error)) from error.__cause__
        return JobSpec(
            name=self.name,
            queue=self.queue.name,
            codec=self.codec,
            policy=Policy(options.retry, holds_key=options.on_failure == "hold_key"),
            timeout_ms=options.timeout_ms,
            function=function,
            executor=executor,
            wants_context=wants_context,
            expect_ms=options.expect_ms,
            gated=options.gated,
            unique=options.unique,
            limits=options.limits,
            partitions=self.queue.partitions,
            pinned=is_pinned(options.limits, self.queue.partitions),
            fair=options.fair is not None,
            fair_weights=fair_weights(self.codec, options.fair),
            breaker=options.breaker,
        )


def _refuse_in_loop(instead: str) -> None:
    # Where it was not imported no loop runs, and importing it takes a fifth of all the time.
    events = sys.modules.get("asyncio.events")
    if events is None or events._get_running_loop() is None:  # noqa: SLF001 - the other one makes an error first
        return
    message = (
        "this would block the running event loop, so nothing was written; use "
        f"`await {instead}(...)` there"
    )
    raise unwritten(EnqueueError(message))
