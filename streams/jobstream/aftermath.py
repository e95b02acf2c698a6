"""The part of an app that hears of failures and deaths, and works off its dead letters."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from jobstream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream.enqueue.connection import Connection
    from jobstream.job import Job
    from jobstream.operate.dead_letters import DeadLetters
    from jobstream.settings import Settings
    from jobstream_processors.failure import Callback, Failure

_Called = TypeVar("_Called", bound=Callable[..., Any])


class Aftermath(ABC):
    """What an app knows of jobs that fail and die."""

    name: str
    settings: Settings
    _connection: Connection

    def __init__(self) -> None:
        self._failure_callbacks: list[Callback] = []
        self._death_callbacks: list[tuple[Callback, str]] = []
        """With the name of a job type, "" for all."""
        self._dead_letters: DeadLetters | None = None

    @property
    @abstractmethod
    def jobs_by_name(self) -> Mapping[str, Job[Any, Any]]:
        """The job types by every name they answer to."""

    @abstractmethod
    def _run_as(self, function: _Called) -> _Called:
        """The function as a worker runs it."""

    def on_failure(self, callback: Callback) -> Callback:
        """Call `callback` in the worker for every failure; returns it: a decorator, too.

        For error trackers: every run that failed, and every job that dies without one. It is
        called with a `Failure`, on a thread of its own, one after the other: a slow one delays the
        next, never a job. At most 1,000 wait; more are counted in the log and left out. What it
        raises is logged. A run that was lost with its worker or partition is left out. Raises
        ConfigError for a coroutine function.
        """
        if not callable(callback) or inspect.iscoroutinefunction(callback):
            message = f"on_failure({callback!r}): give a plain function of one Failure"
            raise ConfigError(message)
        self._failure_callbacks.append(callback)
        return callback

    @property
    def failure_callbacks(self) -> tuple[Callback, ...]:
        """The callbacks given to `on_failure`, in the order in which a worker calls them."""
        return tuple(map(self._run_as, self._failure_callbacks))

    @overload
    def on_dead(self, callback: Callback, /) -> Callback: ...
    @overload
    def on_dead(self, /, *, job: Job[Any, Any] | str) -> Callable[[Callback], Callback]: ...
    def on_dead(
        self, callback: Callback | None = None, /, *, job: Job[Any, Any] | str | None = None
    ) -> Any:
        """Call `callback` in the worker when a job has died for good; returns it: a decorator.

        Of every job type, or of one: `@app.on_dead(job=send_receipt)`. It is called with a
        `Failure` once the dead letter is acknowledged, as the letter tells it, on a thread of its
        own, one after the other: a slow one delays the next, never a job. At most 1,000 wait; more
        are counted in the log and left out. What it raises is logged. Best effort: a worker that
        dies between the letter and the call makes none, and a job that is redriven and dies again
        makes another. Raises ConfigError for a coroutine function or an unknown job type.
        """

        def note(called: Callback) -> Callback:
            if not callable(called) or inspect.iscoroutinefunction(called):
                message = f"on_dead({called!r}): give a plain function of one Failure"
                raise ConfigError(message)
            self._death_callbacks.append((called, self._named(job)))
            return called

        return note if callback is None else note(callback)

    @property
    def death_callbacks(self) -> tuple[Callback, ...]:
        """The callbacks given to `on_dead`, in the order in which a worker calls them."""
        return tuple(
            self._run_as(callback) if not job_type else only_of(job_type, self._run_as(callback))
            for callback, job_type in self._death_callbacks
        )

    @property
    def dead_letters(self) -> DeadLetters:
        """Its open dead letters: by cause, tried, redriven, discarded. Reads the broker's log."""
        if self._dead_letters is None:
            from jobstream.correcting import ByClass  # noqa: PLC0415 - with what follows
            from jobstream.operate.dead_letters import DeadLetters  # noqa: PLC0415 - heavy
            from jobstream.operate.view import AppView  # noqa: PLC0415 - as above

            by_class = ByClass(lambda: self.jobs_by_name, self._connection.client)
            self._dead_letters = DeadLetters(AppView(self.name, self.settings), correct=by_class)
        return self._dead_letters

    def _named(self, job: Job[Any, Any] | str | None) -> str:
        if job is None:
            return ""
        name = job if isinstance(job, str) else job.name
        found = self.jobs_by_name.get(name)
        if found is None:
            there = ", ".join(sorted(self.jobs_by_name)) or "none yet"
            message = f"on_dead(job={name!r}): the app has no such job type; it has: {there}"
            raise ConfigError(message)
        return found.name


def only_of(job_type: str, callback: Callback) -> Callback:
    """The callback, for failures of one job type."""

    def called(failure: Failure) -> object:
        return callback(failure) if failure.job == job_type else None

    called.__qualname__ = getattr(callback, "__qualname__", type(callback).__qualname__)
    return called
