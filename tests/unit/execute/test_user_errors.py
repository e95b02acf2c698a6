"""Outcomes: what user code raises, read as data."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from jobstream_processors.core.headers import TRACEBACK_BYTES_MAX
from jobstream_processors.core.outcome import (
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
)
from jobstream_processors.errors import InvalidOption
from jobstream_processors.execute.user_errors import ERROR_TEXT_MAX, raised, read


class Rude(Exception):
    def __str__(self) -> str:
        message = "not even this"
        raise RuntimeError(message)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RetryAfter("5s"), Again(5_000, uses_attempt=True, reason="retry after 5000 ms")),
        (RetryAfter("5s", "busy"), Again(5_000, uses_attempt=True, reason="busy")),
        (Snooze("1m"), Again(60_000, uses_attempt=False, reason="snooze 60000 ms")),
        (Cancel(), Cancelled("cancelled")),
        (Cancel("gone"), Cancelled("gone")),
        (Dead(), DeclaredDead("dead_by_handler", "dead")),
        (Dead("bad"), DeclaredDead("dead_by_handler", "bad")),
    ],
    ids=repr,
)
def test_public_outcomes(error: BaseException, outcome: Outcome) -> None:
    assert read(error) == outcome


def test_group_with_one_outcome_is_that_outcome() -> None:
    inner = BaseExceptionGroup("inner", [Dead("bad"), OSError("slow")])

    assert read(BaseExceptionGroup("outer", [inner, KeyError("k")])) == read(Dead("bad"))


def test_group_with_two_outcomes_is_a_failure() -> None:
    assert isinstance(read(BaseExceptionGroup("both", [Dead("a"), Cancel("b")])), Raised)


@pytest.mark.parametrize(
    "error", [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), JobOutcome()]
)
def test_attempt_to_leave_is_a_failed_attempt(error: BaseException) -> None:
    assert isinstance(read(error), Raised)


def test_outcome_passes_a_catch_all() -> None:
    with pytest.raises(Dead), suppress(Exception):
        raise Dead


def test_failure_is_data_with_bounds() -> None:
    told = raised(ValueError("x" * 5_000))

    assert told.error == "builtins.ValueError"
    assert told.message == "x" * ERROR_TEXT_MAX
    assert told.classes[:2] == ("builtins.ValueError", "builtins.Exception")
    assert len(told.spot.traceback.encode()) <= TRACEBACK_BYTES_MAX


def test_unprintable_error_is_still_told() -> None:
    assert raised(Rude()).message == "<unprintable>"


class Bare(RetryAfter):
    def __init__(self) -> None:
        """Leave the delay out."""


class Vague(Snooze):
    def __init__(self) -> None:
        self.delay_ms = "soon"  # type: ignore[assignment] # as user code may


class Endless(Snooze):
    def __init__(self) -> None:
        self.delay_ms = -1


@pytest.mark.parametrize("kind", [Bare, Vague, Endless])
def test_an_outcome_without_a_delay_is_a_failed_attempt(kind: type[BaseException]) -> None:
    told = read(kind())

    assert isinstance(told, Raised)
    assert told.error.endswith(kind.__name__)


class Noted(Exception):
    def __getattribute__(self, name: str) -> object:
        if name == "__notes__":
            raise SystemExit(3)
        return super().__getattribute__(name)


class Meddling(type):
    def __getattribute__(cls, name: str) -> object:
        if name == "__qualname__":
            raise KeyboardInterrupt
        return super().__getattribute__(name)


class Nameless(Exception, metaclass=Meddling):
    pass


def nested(depth: int) -> Exception:
    error: Exception = ValueError("in the middle")
    for _ in range(depth):
        error = ExceptionGroup("around", [error])
    return error


@pytest.mark.parametrize(
    "error", [Noted(), Nameless(), nested(100_000)], ids=lambda e: type(e).__name__
)
def test_an_exception_that_can_not_be_read_is_a_failed_attempt(error: BaseException) -> None:
    assert isinstance(read(error), Raised)


@pytest.mark.parametrize("kind", [Dead, Cancel, ValueError])
def test_text_can_always_be_written(kind: type[BaseException]) -> None:
    """Names of files may hold surrogates, which no record can carry."""
    outcome = read(kind("no such file: name-\udce9"))

    text = outcome.reason if isinstance(outcome, Cancelled) else getattr(outcome, "message", "")
    assert text == "no such file: name-\\udce9"
    assert text.encode()


def test_unreadable_delay_is_refused_by_name() -> None:
    with pytest.raises(InvalidOption, match="RetryAfter"):
        RetryAfter("soon")
