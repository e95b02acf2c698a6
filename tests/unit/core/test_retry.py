"""Backoff, by example."""

from __future__ import annotations

from typing import Any

import pytest

from jobstream_processors.core.outcome import Raised
from jobstream_processors.core.retry import Backoff
from jobstream_processors.errors import InvalidOption


class OutOfStock(ValueError):
    pass


def failure(kind: type[BaseException]) -> Raised:
    names = tuple(f"{c.__module__}.{c.__qualname__}" for c in kind.__mro__)
    return Raised(names[0], "why", names)


def test_ceiling_doubles_up_to_the_cap() -> None:
    backoff = Backoff(first="5s", factor=2, cap="1m")

    ceilings = [backoff.ceiling_ms(attempt) for attempt in range(1, 7)]
    assert ceilings == [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]


def test_ceiling_survives_an_overflow() -> None:
    assert Backoff(factor=100.0, attempts=1_000).ceiling_ms(1_000) == 3_600_000


def test_no_first_wait_means_no_wait() -> None:
    assert Backoff(first=0, factor=100.0).ceiling_ms(999) == 0


def test_jitter_is_pinned() -> None:
    """A worker of another version must draw the same wait for the same attempt."""
    backoff = Backoff()
    waits = [backoff.delay_ms(n, job_id="a-job", redrive=0) for n in (1, 2, 3)]

    assert waits == [537, 5_162, 1_188]


def test_subclass_of_a_deadly_class_is_permanent() -> None:
    backoff = Backoff(dead_on=(ValueError,))

    assert backoff.is_permanent(failure(OutOfStock))
    assert not backoff.is_permanent(failure(OSError))


def test_only_listed_classes_are_retried() -> None:
    backoff = Backoff(retry_on=(OSError,))

    assert not backoff.is_permanent(failure(ConnectionResetError))
    assert backoff.is_permanent(failure(KeyError))


def test_deadly_outranks_retried() -> None:
    backoff = Backoff(retry_on=(ValueError,), dead_on=(OutOfStock,))

    assert backoff.is_permanent(failure(OutOfStock))
    assert not backoff.is_permanent(failure(ValueError))


def test_age_ends_it_as_well_as_count() -> None:
    backoff = Backoff(attempts=3, max_age="1h")

    assert not backoff.is_exhausted(2, 3_599_999)
    assert backoff.is_exhausted(2, 3_600_000)
    assert backoff.is_exhausted(3, 0)


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"attempts": 1_001},
        {"attempts": 2.5},
        {"attempts": True},
        {"attempts": "8"},
        {"attempts": None},
        {"factor": 0.9},
        {"factor": float("nan")},
        {"factor": "2"},
        {"factor": None},
        {"first": "2h", "cap": "1h"},
        {"first": "soon"},
        {"max_age": "-1s"},
        {"dead_on": ("ValueError",)},
        {"retry_on": (int,)},
        {"dead_on": ValueError},
        {"retry_on": ValueError},
        {"dead_on": None},
        {"dead_on": ValueError | KeyError},
    ],
    ids=str,
)
def test_refuses_what_cannot_be_meant(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match=next(iter(options))):
        Backoff(**options)


@pytest.mark.parametrize("option", ["dead_on", "retry_on"])
def test_refuses_classes_that_can_be_read_but_once(option: str) -> None:
    with pytest.raises(InvalidOption, match=option):
        Backoff(**{option: iter((OSError,))})  # type: ignore[arg-type]
