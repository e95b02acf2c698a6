"""The part of an app that is around its handlers: what they share in a process."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any, TypeVar

from jobstream.errors import ConfigError
from jobstream_processors.resources import Lifespan, Managed

Opens = Callable[
    [],
    AsyncIterator[Any]
    | Iterator[Any]
    | AbstractAsyncContextManager[Any]
    | AbstractContextManager[Any],
]
"""A function with one `yield`, or one that returns a context manager."""
_Opens = TypeVar("_Opens", bound=Opens)


class Surroundings:
    """What an app has around its handlers."""

    def __init__(self) -> None:
        self._lifespans: list[Lifespan] = []

    def lifespan(self, function: _Opens) -> _Opens:
        """Set up what handlers share, and take it down; a decorator, which returns the function.

        A function without parameters and with one `yield`, or one that returns a context manager;
        async or plain. It runs once in every process that runs handlers: a worker before it takes
        a partition, and each of its child processes before its first job. What it yields is
        `ctx.resources[ItsClass]` in handlers. Several are entered in the order of their
        declaration and left in the opposite one. A plain one runs on a thread of its own, so it may
        block; an async one runs on the event loop of the handlers.

        A worker whose lifespan raises, or has not yielded after 60 s, leaves with an error. When it
        leaves, what follows the `yield` has what is left of the drain, and 2 s at least. A process
        that is killed leaves nothing. Raises ConfigError.
        """
        self._lifespans.append(Lifespan(_name_of(function), _opens(function)))
        return function

    @property
    def lifespans(self) -> tuple[Lifespan, ...]:
        """What was given to `lifespan`, in order."""
        return tuple(self._lifespans)


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
