"""Reads what came out of a handler: which outcome an exception stands for, and its text.

Looking at an exception runs user code, which may fail in any way.
"""

from __future__ import annotations

from collections.abc import Callable

from jobstream_processors.core.duration import to_ms
from jobstream_processors.core.outcome import (
    NOWHERE,
    Again,
    Cancel,
    Cancelled,
    Dead,
    DeclaredDead,
    JobOutcome,
    Outcome,
    Raised,
    RetryAfter,
    Snooze,
    Spot,
)
from jobstream_processors.errors import InvalidOption
from jobstream_processors.execute.spot import CLEANED_MAX, spot_of

ERROR_TEXT_MAX = 1_000
BROKEN_ERROR = "jobstream.UnreadableError"
"""Stands for the name of an exception that fails when it is looked at."""

Clean = Callable[[str], str]
"""Takes out of a text what must not be shown."""


def as_is(text: str) -> str:
    """For texts in which nothing needs to be hidden."""
    return text


Locate = Callable[[BaseException, Clean], Spot]
"""Finds where an exception was raised."""


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
            slows = isinstance(wanted, RetryAfter) and getattr(wanted, "limit", False) is True
            uses_attempt = isinstance(wanted, RetryAfter) and not slows
            spot = locate(error, clean) if uses_attempt else NOWHERE
            reason = told(wanted, clean)
            return Again(delay_ms, uses_attempt, reason, spot, slows)
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
