"""How a job can end: what user code raises, and the closed set the core reasons about.

Returning is done. The four public outcomes derive from BaseException so that a catch-all in user
code does not swallow them. `read` turns whatever came out of a handler into one `Outcome`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobstream_processors.core.duration import to_ms
from jobstream_processors.core.spot import CLEANED_MAX, NOWHERE, Spot, spot_of
from jobstream_processors.errors import InvalidOption

if TYPE_CHECKING:
    from jobstream_processors.core.duration import Duration

ERROR_TEXT_MAX = 1_000
BROKEN_ERROR = "jobstream.UnreadableError"
"""Stands for the name of an exception that fails when it is looked at."""
UNDECODABLE = "undecodable"
"""Reason of a dead letter whose bytes are no such job; says nothing of any handler's health."""


class JobOutcome(BaseException):
    """Base of the outcomes a handler raises, from any depth of user code."""


class RetryAfter(JobOutcome):
    """Run again after `delay`; uses an attempt, so the type's attempt limit still holds."""

    def __init__(self, delay: Duration, reason: str = "") -> None:
        self.delay_ms = to_ms(delay, name="RetryAfter(delay)")
        self.reason = reason
        super().__init__(reason or f"retry after {self.delay_ms} ms")


class Snooze(JobOutcome):
    """Run again after `delay` without using an attempt (e.g. not ready yet). Capped in number."""

    def __init__(self, delay: Duration, reason: str = "") -> None:
        self.delay_ms = to_ms(delay, name="Snooze(delay)")
        self.reason = reason
        super().__init__(reason or f"snooze {self.delay_ms} ms")


class Cancel(JobOutcome):
    """Stop for good because it is no longer wanted: terminal, no dead letter, no alert."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(reason or "cancelled")


class Dead(JobOutcome):
    """Give up now: the job goes to the dead letters with this reason."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(reason or "dead")


@dataclass(frozen=True, slots=True)
class Done:
    """The handler returned. `returned` says that it returned something, which is only warned of."""

    returned: bool = False


@dataclass(frozen=True, slots=True)
class Raised:
    """The handler failed: any exception that is no public outcome, and a handler's own exit."""

    error: str
    message: str
    classes: tuple[str, ...]
    """Qualified names along the exception's MRO, so that a policy made elsewhere can match them."""
    spot: Spot = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Again:
    """Wanted by the handler: run again after `delay_ms`."""

    delay_ms: int
    uses_attempt: bool
    reason: str
    spot: Spot = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Wanted by the handler: terminal without a dead letter."""

    reason: str


@dataclass(frozen=True, slots=True)
class DeclaredDead:
    """Wanted by the handler or found by the worker: dead letter now."""

    reason: str
    message: str
    spot: Spot = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Sound args of another schema, which this code cannot read: the handler never began."""

    message: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The time limit passed. The handler may still be running (a thread can't be stopped)."""

    after_ms: int
    spot: Spot = field(default=NOWHERE, compare=False)
    """Where it was by then, as far as that could be seen."""


@dataclass(frozen=True, slots=True)
class Expired:
    """Its time was over before a slot was free for it: the handler never began."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The worker is shutting down or lost the partition: nothing is settled, no attempt is used."""


@dataclass(frozen=True, slots=True)
class Crashed:
    """The process that ran the handler died while this worker lived."""

    how: str


@dataclass(frozen=True, slots=True)
class Unstarted:
    """No process could begin it: its handler has not run, and the job has no part in that."""

    reason: str
    """Of the dead letter, should no process ever be able to."""
    how: str
    spot: Spot = field(default=NOWHERE, compare=False)


Outcome = (
    Done | Raised | Again | Cancelled | DeclaredDead | Unreadable | TimedOut | Expired | Interrupted
) | (Crashed | Unstarted)

DONE = Done()
STOPPED = Cancelled("stopped by an operator")
"""Of a delivery that an operator cancelled; who and why is known to the engine."""
RETURNED = Done(returned=True)


def is_wanted(outcome: Outcome) -> bool:
    """Whether the handler ran and ended as it wanted to, which shows that it is in health."""
    return isinstance(outcome, Done | Cancelled) or (
        isinstance(outcome, Again) and not outcome.uses_attempt
    )


def is_unread(outcome: Outcome) -> bool:
    """Whether the args could not be read, which says nothing of the handler's health."""
    return isinstance(outcome, Unreadable) or (
        isinstance(outcome, DeclaredDead) and outcome.reason == UNDECODABLE
    )


Clean = Callable[[str], str]
"""Takes out of a text what must not be shown."""


def as_is(text: str) -> str:
    """For texts in which nothing needs to be hidden."""
    return text


Locate = Callable[[BaseException, Clean], Spot]
"""Tells where an exception was raised."""


def read(error: BaseException, clean: Clean = as_is, locate: Locate = spot_of) -> Outcome:
    """The outcome that `error`, raised by a handler, stands for.

    An exception group that holds exactly one public outcome is that outcome; any other group, and
    SystemExit, KeyboardInterrupt or a handler's own CancelledError, is a failed attempt. Every
    text of it goes through `clean` first. Never raises: an exception runs user code where it is
    looked at, and one that can't be read is a failed attempt as well.
    """
    try:
        return _read(error, clean, locate)
    except BaseException:  # noqa: BLE001 - `__notes__`, `__dir__`, a subclass without its fields ...
        return Raised(BROKEN_ERROR, "the exception that was raised can't be read", ())


def _read(error: BaseException, clean: Clean, locate: Locate) -> Outcome:
    wanted = _only_outcome(error)
    match wanted:
        case RetryAfter() | Snooze() if (delay_ms := _delay_of(wanted)) is not None:
            uses_attempt = isinstance(wanted, RetryAfter)
            spot = locate(error, clean) if uses_attempt else NOWHERE
            reason = told(wanted, clean)
            return Again(delay_ms, uses_attempt=uses_attempt, reason=reason, spot=spot)
        case Cancel():
            return Cancelled(told(wanted, clean))
        case Dead():
            return DeclaredDead("dead_by_handler", told(wanted, clean), locate(error, clean))
    return raised(error, clean, locate)


def _delay_of(wanted: RetryAfter | Snooze) -> int | None:
    """Its delay in milliseconds; None where a subclass left it out or made nonsense of it."""
    delay_ms = getattr(wanted, "delay_ms", None)
    try:
        return to_ms(delay_ms / 1000) if isinstance(delay_ms, int) else None
    except InvalidOption:
        return None


def raised(error: BaseException, clean: Clean = as_is, locate: Locate = spot_of) -> Raised:
    """`error` as data: names and texts cut to a bound, no reference to frames is kept."""
    names = tuple(f"{c.__module__}.{c.__qualname__}" for c in type(error).__mro__)
    return Raised(names[0], told(error, clean), names, locate(error, clean))


def told(error: BaseException, clean: Clean = as_is) -> str:
    """What `error` says, cut to a bound, and always of a form that can be written as UTF-8."""
    try:
        text = clean(str(error)[:CLEANED_MAX])[:ERROR_TEXT_MAX]
    except BaseException:  # noqa: BLE001 - a user's __str__ may raise anything
        return "<unprintable>"
    return text.encode("utf-8", "backslashreplace").decode()[:ERROR_TEXT_MAX]


def _only_outcome(error: BaseException) -> BaseException:
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [e for e in _leaves(error) if isinstance(e, JobOutcome)]
    return leaves[0] if len(leaves) == 1 else error


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found
