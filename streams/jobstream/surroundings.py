"""The part of an app that is around its handlers and enqueues: middleware, and what they share."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

from jobstream.enqueue.enqueued import Enqueued
from jobstream.enqueue.uniqueness import Override
from jobstream.errors import ConfigError
from jobstream_processors.core.duration import Duration
from jobstream_processors.errors import InvalidOption
from jobstream_processors.resources import Lifespan, Managed

if TYPE_CHECKING:
    from jobstream_processors.context import Context

Opens = Callable[
    [],
    AsyncIterator[Any]
    | Iterator[Any]
    | AbstractAsyncContextManager[Any]
    | AbstractContextManager[Any],
]
"""A function with one `yield`, or one that returns a context manager."""
_Opens = TypeVar("_Opens", bound=Opens)
_Called = TypeVar("_Called", bound=Callable[..., Any])
_Middleware = TypeVar("_Middleware", bound="type[Middleware] | Middleware")


@dataclass(slots=True, eq=False)
class Enqueuing:
    """An enqueue that is under way, as a middleware sees it; options may be set before the `yield`.

    They mean what they mean in `Job.enqueue`, and are checked after the last middleware.
    """

    name: str
    """The job type's."""
    queue: str
    args: Any
    """Not to be changed: ids of child jobs derive from them."""
    job_id: str | None
    """Of a child job, or a schedule's; else it is drawn later."""
    parent_id: str | None
    """The job that enqueues it, if one does."""
    delay: Duration | None = None
    run_at: datetime | None = None
    key: str | None = None
    idempotency_key: str | None = None
    expires_in: Duration | None = None
    correlation_id: str | None = None
    unique: Override = None
    headers: dict[str, str] = field(default_factory=dict)
    """What the record carries beside the job: at most 16, each of 1,000 bytes. Every copy of the
    job keeps them, and handlers read them as `ctx.headers`. Every reader of the topic sees them."""
    enqueued: Enqueued | None = None
    """Where it is, after the `yield`; None if it failed, and in an `enqueue_many`."""


class Middleware:
    """Around every enqueue and every run of an app. Override what you need, each with one `yield`.

    What stands before the `yield` comes before the enqueue or the run, what follows comes after it;
    what was raised comes out of the `yield`. The plain methods serve coroutines as well, and must
    not block there; `aenqueue` and `arun`, if you override them, take their place for coroutines.
    """

    def enqueue(self, job: Enqueuing) -> Iterator[None]:  # noqa: ARG002 - for those that override it
        """Around an enqueue. Raise EnqueueVetoed before the `yield` to refuse it.

        After the `yield` the job is in the log, or an error came out: nothing can change that any
        more, and what is raised there is logged. In an `enqueue_many` what follows the `yield` runs
        before the job is acknowledged.
        """
        yield

    async def aenqueue(self, job: Enqueuing) -> AsyncIterator[None]:  # noqa: ARG002 - as above
        """Around an enqueue in a coroutine, but for `aenqueue_many`."""
        yield

    def run(self, args: Any, ctx: Context) -> Iterator[None]:  # noqa: ANN401, ARG002 - of any job type
        """Around a run, under the job's time limit, in the process and thread of its handler.

        What is raised here is as if the handler had raised it: `Cancel`, `Dead`, `Snooze`,
        `RetryAfter` or any error. An error that is caught around the `yield` has not happened.
        """
        yield

    async def arun(self, args: Any, ctx: Context) -> AsyncIterator[None]:  # noqa: ANN401, ARG002 - as above
        """Around a run of an `async def` handler, on its event loop."""
        yield


HALVES = ("enqueue", "aenqueue", "run", "arun")


class Surroundings:
    """What an app has around its handlers and its enqueues."""

    def __init__(self) -> None:
        self._lifespans: list[Lifespan] = []
        self.middlewares: list[Middleware] = []
        """Those given to `middleware`, the outermost first."""

    def lifespan(self, function: _Opens) -> _Opens:
        """Set up what handlers share, and take it down; a decorator, which returns the function.

        A function without parameters and with one `yield`, or one that returns a context manager;
        async or plain. It runs once in every process that runs handlers: a worker before it takes
        a partition, and each of its child processes before its first job. What it yields is
        `ctx.resources[ItsClass]` in handlers. Several are entered in the order of their
        declaration and left in the opposite one. A plain one runs on a thread of its own, so it may
        block; an async one runs on the event loop of the handlers.

        A worker whose lifespan raises, or has not yielded after 60 s, leaves with an error; a child
        process gives 45 s, and its job waits for another. When a process leaves, what follows the
        `yield` has what is left of the drain, and 2 s at least. A process that is killed leaves
        nothing. Raises ConfigError.
        """
        self._lifespans.append(Lifespan(_name_of(function), _opens(function)))
        return function

    def middleware(self, middleware: _Middleware) -> _Middleware:
        """Put it around every enqueue and every run; a decorator of a class, or given an instance.

        The first one is the outermost. It is around the enqueues of every client of this app in
        this process, of handlers and of schedules too, and around runs wherever handlers run; not
        around a handler that is called directly, and not around copies (retries, redrives). To be
        declared before the app's first enqueue. Raises ConfigError.
        """
        made: object = middleware
        if isinstance(middleware, type):
            try:
                made = middleware()
            except TypeError as error:
                message = (
                    f"middleware {middleware.__qualname__}: {error}; give an instance where it "
                    "takes arguments: app.middleware(…)"
                )
                raise ConfigError(message) from error
        if not isinstance(made, Middleware):
            what = _name_of(middleware)
            message = f"middleware {what!r}: give a subclass of jobstream.Middleware"
            raise ConfigError(message)
        _check_halves(made)
        if self._has_client():
            message = (
                f"middleware {type(made).__qualname__!r}: the app has enqueued already; declare "
                "its middleware before that"
            )
            raise ConfigError(message)
        self.middlewares.append(made)
        return middleware

    def _has_client(self) -> bool:
        """Whether a client was made that knows no more middleware."""
        return False

    def _with_middleware(
        self, job: str, function: _Called, *, wants_context: bool
    ) -> tuple[_Called, bool]:
        """The function as a worker runs it, and whether that takes a context."""
        found = [
            (type(each).__qualname__, overrides(each, "run"), overrides(each, "arun"))
            for each in self.middlewares
        ]
        halves = [each for each in found if any(each[1:])]
        if not halves:
            return function, wants_context
        from jobstream_processors.run_layers import (  # noqa: PLC0415 - workers alone need it
            RunLayer,
            around,
        )

        layers = [RunLayer(*each) for each in halves]
        try:
            made = around(job, function, layers, wants_context=wants_context)
        except InvalidOption as error:
            raise ConfigError(str(error)) from error.__cause__
        return cast("_Called", made), True

    @property
    def lifespans(self) -> tuple[Lifespan, ...]:
        """What was given to `lifespan`, in order."""
        return tuple(self._lifespans)


def overrides(middleware: Middleware, half: str) -> Any:  # noqa: ANN401 - a method of it
    """That method of it; None if it is the base class's."""
    if getattr(type(middleware), half) is getattr(Middleware, half):
        return None
    return getattr(middleware, half)


def _check_halves(middleware: Middleware) -> None:
    name = type(middleware).__qualname__
    halves = {half: overrides(middleware, half) for half in HALVES}
    if not any(halves.values()):
        message = f"middleware {name!r} overrides none of {', '.join(HALVES)}"
        raise ConfigError(message)
    for half, method in halves.items():
        is_async = half.startswith("a")
        right = inspect.isasyncgenfunction if is_async else inspect.isgeneratorfunction
        if method is not None and not right(method):
            wanted = "an `async def` method" if is_async else "a plain `def` method"
            message = f"middleware {name!r}: `{half}` is to be {wanted} with one `yield`"
            raise ConfigError(message)


def _opens(function: Any) -> Callable[[], Managed]:  # noqa: ANN401 - it is checked here
    problem = ""
    if not callable(function):
        problem = "give a function with one yield"
    elif inspect.iscoroutinefunction(function):
        problem = "it has no yield: yield what handlers share, or nothing"
    elif _takes_something(function):
        problem = "a lifespan takes no arguments"
    if problem:
        message = f"lifespan {_name_of(function)!r}: {problem}"
        raise ConfigError(message)
    if inspect.isasyncgenfunction(function):
        return asynccontextmanager(function)
    if inspect.isgeneratorfunction(function):
        return contextmanager(function)
    opens: Callable[[], Managed] = function
    return opens


def _takes_something(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False  # Such as a builtin: its call tells.
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(p.default is p.empty and p.kind not in variadic for p in parameters)


def _name_of(function: object) -> str:
    name: str = getattr(function, "__qualname__", type(function).__qualname__)
    return name
