"""The enqueue half of middleware: what is around each enqueue of a client whose app has any.

A client of an app without middleware is left as it is. Before a job is composed, each middleware
may set its options, give it headers, or refuse it. What follows a `yield` only sees what became of
it: whether a job is in the log can't be changed any more, so no error there reaches the caller.
"""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from jobstream.enqueue.composing import When
from jobstream.errors import ConfigError, EnqueueVetoed, MiddlewareFailed
from jobstream.surroundings import Enqueuing, overrides
from jobstream_processors.core.headers import PREFIX

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence

    from jobstream.enqueue.client import Client
    from jobstream.enqueue.composing import Composed, JobKind
    from jobstream.enqueue.enqueued import Enqueued
    from jobstream.surroundings import Middleware
    from jobstream_processors.core.headers import Headers

    Plain = Callable[[Enqueuing], Generator[Any, Any, Any]]
    WithinLoop = Callable[[Enqueuing], AsyncGenerator[Any, Any]]

log = logging.getLogger("jobstream.enqueue")

HEADERS_MAX = 16
HEADER_BYTES_MAX = 1_000
NAME_CHARS_MAX = 128
OF_TRACES = ("traceparent", "tracestate")
OPTIONS = tuple(field.name for field in fields(When))


class EnqueueLayer(NamedTuple):
    """What one middleware has around an enqueue."""

    name: str
    plain: Plain | None
    within_loop: WithinLoop | None


def layers_of(middlewares: Iterable[Middleware]) -> list[EnqueueLayer]:
    """Those that have something around enqueues, in order."""
    made = [
        EnqueueLayer(type(m).__qualname__, overrides(m, "enqueue"), overrides(m, "aenqueue"))
        for m in middlewares
    ]
    return [layer for layer in made if layer.plain is not None or layer.within_loop is not None]


def client_within(client: Client, middlewares: Iterable[Middleware]) -> Client:
    """The client with these around its enqueues; itself if none has anything there."""
    layers = layers_of(middlewares)
    return cast("Client", ClientWithin(client, layers)) if layers else client


class Bound(When):
    """Options as the middleware left them, and the headers that they gave the job."""

    __slots__ = ("headers",)

    headers: Headers


class Walk:
    """One enqueue on its way in through the layers, and back. Used by one thread, or one task."""

    def __init__(  # noqa: PLR0917 - as a client's enqueue
        self,
        layers: Sequence[EnqueueLayer],
        kind: JobKind,
        args: Any,  # noqa: ANN401 - generic in the job type
        when: When,
        job_id: str | None = None,
        parent_id: str | None = None,
    ) -> None:
        self._layers = layers
        self._entered: list[tuple[str, Any]] = []
        self.job = Enqueuing(
            kind.codec.schema.job_type,
            kind.plan.name,
            args,
            job_id,
            parent_id,
            **{option: getattr(when, option) for option in OPTIONS},
        )

    def enter(self) -> Bound:
        """Go in; what is to be sent. Raises EnqueueVetoed, MiddlewareFailed, ConfigError."""
        try:
            for name, plain, _ in self._layers:
                steps = _plain(name, plain)(self.job)
                try:
                    next(steps)
                except BaseException as error:  # noqa: BLE001 - told with the name, or passed on
                    self._refuse(name, error)
                self._entered.append((name, steps))
            return self._bound()
        except BaseException as error:
            self.leave(error)
            raise

    async def aenter(self) -> Bound:
        """As `enter`, in a coroutine."""
        try:
            for name, plain, within_loop in self._layers:
                steps: Any = within_loop(self.job) if within_loop is not None else None
                if steps is None and plain is not None:
                    steps = plain(self.job)
                try:
                    await anext(steps) if within_loop is not None else next(steps)
                except BaseException as error:  # noqa: BLE001 - as in `enter`
                    self._refuse(name, error)
                self._entered.append((name, steps))
            return self._bound()
        except BaseException as error:
            await self.aleave(error)
            raise

    def leave(self, error: BaseException | None, sent: Enqueued | None = None) -> None:
        """Go back: each is told what became of the enqueue. What it raises is logged."""
        self.job.enqueued = sent
        while self._entered:
            name, steps = self._entered.pop()
            try:
                next(steps) if error is None else steps.throw(error)
            except BaseException as raised:  # noqa: BLE001 - judged, and logged
                self._ended(name, raised, error)
            else:
                steps.close()
                self._tell("middleware_yielded_twice", name)

    async def aleave(self, error: BaseException | None, sent: Enqueued | None = None) -> None:
        """As `leave`, in a coroutine."""
        self.job.enqueued = sent
        while self._entered:
            name, steps = self._entered.pop()
            is_async = hasattr(steps, "__anext__")
            try:
                if is_async:
                    await (anext(steps) if error is None else steps.athrow(error))
                else:
                    next(steps) if error is None else steps.throw(error)
            except BaseException as raised:  # noqa: BLE001 - judged, and logged
                self._ended(name, raised, error)
            else:
                await steps.aclose() if is_async else steps.close()
                self._tell("middleware_yielded_twice", name)

    def _refuse(self, name: str, error: BaseException) -> None:
        """Raise what the caller gets for what a middleware raised before its `yield`."""
        if isinstance(error, EnqueueVetoed):
            told = f"middleware {name!r} vetoed the enqueue of {self.job.name!r}: {error}"
            vetoed = EnqueueVetoed(f"{told}; nothing was written")
            vetoed.middleware, vetoed.reason = name, str(error)
            raise vetoed from error
        if isinstance(error, StopIteration | StopAsyncIteration):
            why, cause = "did not yield", None
        elif isinstance(error, Exception):
            why, cause = f"raised {type(error).__name__}: {error}", error
        else:
            raise error
        message = f"middleware {name!r} {why}, so {self.job.name!r} was not enqueued"
        failed = MiddlewareFailed(message)
        failed.middleware = name
        raise failed from cause

    def _ended(self, name: str, raised: BaseException, error: BaseException | None) -> None:
        if isinstance(raised, StopIteration | StopAsyncIteration) or raised is error:
            return
        if not isinstance(raised, Exception):
            raise raised
        self._tell("middleware_failed", name, raised)

    def _tell(self, event: str, name: str, error: BaseException | None = None) -> None:
        sent = self.job.enqueued
        told = {"middleware": name, "job": self.job.name}
        told |= {"job_id": sent.job_id} if sent is not None else {}
        log.error(event, extra=told, exc_info=error)

    def _bound(self) -> Bound:
        job = self.job
        if job.job_id is not None and job.idempotency_key is not None:
            message = (
                f"a middleware gave {job.name!r} an idempotency_key, but the id of this job is "
                "made already: it is a child job, or a schedule's"
            )
            raise ConfigError(message)
        bound = Bound(**{option: getattr(job, option) for option in OPTIONS})
        bound.headers = _checked(job.headers)
        return bound


class ClientWithin:
    """Stands where the client stands, and does what it does. Safe from any thread and loop."""

    def __init__(self, client: Client, layers: Sequence[EnqueueLayer]) -> None:
        self._client = client
        self._layers = layers
        self._composes = client.compose
        client.compose = self._compose
        self.transport, self.send, self.require = client.transport, client.send, client.require
        self.enqueue_many = client.enqueue_many

    def enqueue(
        self,
        kind: JobKind,
        args: Any,  # noqa: ANN401 - generic in the job type
        when: When,
        job_id: str | None = None,
        parent_id: str | None = None,
    ) -> Enqueued:
        """As the client's, inside of the layers."""
        walk = Walk(self._layers, kind, args, when, job_id, parent_id)
        with kind.counts.failing():
            bound = walk.enter()
        try:
            sent = self._client.enqueue(kind, args, bound, job_id, parent_id)
        except BaseException as error:
            walk.leave(error)
            raise
        walk.leave(None, sent)
        return sent

    async def aenqueue(
        self,
        kind: JobKind,
        args: Any,  # noqa: ANN401 - generic in the job type
        when: When,
        job_id: str | None = None,
        parent_id: str | None = None,
    ) -> Enqueued:
        """As the client's, inside of the layers."""
        walk = Walk(self._layers, kind, args, when, job_id, parent_id)
        with kind.counts.failing():
            bound = await walk.aenter()
        try:
            sent = await self._client.aenqueue(kind, args, bound, job_id, parent_id)
        except BaseException as error:
            await walk.aleave(error)
            raise
        await walk.aleave(None, sent)
        return sent

    def _compose(
        self,
        kind: JobKind,
        args: Any,  # noqa: ANN401 - generic in the job type
        when: When,
        job_id: str | None = None,
        parent_id: str | None = None,
    ) -> Composed:
        if isinstance(when, Bound):
            # The layers are around the whole enqueue.
            return _with_headers(self._composes(kind, args, when, job_id, parent_id), when.headers)
        # One job of an `enqueue_many`.
        return compose_within(self._layers, self._composes, kind, args, when, job_id, parent_id)


def compose_within(  # noqa: PLR0917 - as a client's enqueue
    layers: Sequence[EnqueueLayer],
    compose: Callable[[JobKind, Any, When, str | None, str | None], Composed],
    kind: JobKind,
    args: Any,  # noqa: ANN401 - generic in the job type
    when: When,
    job_id: str | None = None,
    parent_id: str | None = None,
) -> Composed:
    """A job that other code sends later, inside of the layers; they end once it is composed."""
    walk = Walk(layers, kind, args, when, job_id, parent_id)
    bound = walk.enter()
    try:
        composed = compose(kind, args, bound, job_id, parent_id)
    except BaseException as error:
        walk.leave(error)
        raise
    walk.leave(None)
    return _with_headers(composed, bound.headers)


def compose_tick(
    layers: Sequence[EnqueueLayer],
    compose: Callable[[JobKind, Any, When, str], Composed],
    kind: JobKind,
    args: Any,  # noqa: ANN401 - generic in the job type
    job_id: str,
) -> Composed:
    """The job of a schedule's tick, inside of the layers. They may give it headers and no more.

    A scheduler that fires the tick again must make the same job of it, on the same partition.
    """

    def without_options(
        kind: JobKind,
        args: Any,  # noqa: ANN401 - as above
        when: When,
        _job_id: str | None,
        _parent_id: str | None,
    ) -> Composed:
        _refuse_options(when)
        return compose(kind, args, When(), job_id)

    return compose_within(layers, without_options, kind, args, When(), job_id)


def _refuse_options(bound: When) -> None:
    changed = [option for option in OPTIONS if getattr(bound, option) is not None]
    if changed:
        message = f"a middleware set {changed[0]} of a schedule's job: it may set headers alone"
        raise ConfigError(message)


def _with_headers(composed: Composed, headers: Headers) -> Composed:
    if not headers:
        return composed
    meta, record = composed
    return meta, record._replace(headers=[*(record.headers or ()), *headers])


def _checked(headers: dict[str, str]) -> Headers:
    if len(headers) > HEADERS_MAX:
        message = f"middleware gave {len(headers)} headers; at most {HEADERS_MAX}"
        raise ConfigError(message)
    return [(_name(name), _value(name, value)) for name, value in headers.items()]


def _name(name: str) -> str:
    problem = ""
    if not isinstance(name, str) or not name or len(name) > NAME_CHARS_MAX:
        problem = f"a name is a text of 1 to {NAME_CHARS_MAX} characters"
    elif name.startswith(PREFIX) or name in OF_TRACES:
        problem = f"names that begin with {PREFIX!r} are jobstream's own, and those of traces"
    elif not _is_text(name):
        problem = "it can't be written as UTF-8"
    if problem:
        message = f"header {name!r:.80} of a middleware: {problem}"
        raise ConfigError(message)
    return name


def _value(name: str, value: str) -> bytes:
    if not isinstance(value, str) or not _is_text(value):
        message = f"header {name!r} of a middleware: {value!r:.80} is no text"
        raise ConfigError(message)
    raw = value.encode()
    if len(raw) > HEADER_BYTES_MAX:
        size = f"{len(raw)} bytes; {HEADER_BYTES_MAX} at most"
        message = f"header {name!r} of a middleware has {size}"
        raise ConfigError(message)
    return raw


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(name: str, plain: Plain | None) -> Plain:
    if plain is None:
        message = (
            f"middleware {name!r} has `aenqueue` alone, and this is no `aenqueue` of one job: give "
            "it `enqueue`, too"
        )
        raise ConfigError(message)
    return plain
