"""Outcomes: what user code raises, read as data."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from jobstream_processors.core.outcome import (
    ERROR_TEXT_MAX,
    Again,
    Buried,
    Cancel,
    Cancelled,
    Dead,
    JobOutcome,
    Outcome,
    Raised,
    RetryAfter,
    Snooze,
    raised,
    read,
)
from jobstream_processors.errors import InvalidOption


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
        (Dead(), Buried("dead_by_handler", "dead")),
        (Dead("bad"), Buried("dead_by_handler", "bad")),
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
    assert len(told.trace) <= 4_000


def test_unprintable_error_is_still_told() -> None:
    assert raised(Rude()).message == "<unprintable>"


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
