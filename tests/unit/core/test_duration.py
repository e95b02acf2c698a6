"""Durations, by example."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobstream_processors.core.duration import DURATION_MS_MAX, Duration, to_ms, to_text
from jobstream_processors.errors import InvalidOption


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        ("250ms", 250),
        ("5s", 5_000),
        (" 1.5 s ", 1_500),
        ("10m", 600_000),
        ("6h", 21_600_000),
        ("1d", 86_400_000),
        (0, 0),
        (1.5, 1_500),
        (timedelta(minutes=2), 120_000),
    ],
)
def test_reads(value: Duration, ms: int) -> None:
    assert to_ms(value) == ms


@pytest.mark.parametrize(
    "value",
    [
        "",
        "5",
        "5 years",
        "-5s",
        "\u0665s",  # a digit, but of another script
        "9" * 400 + "d",
        "4000d",
        -1,
        -1e-300 - 1,
        float("nan"),
        float("inf"),
        float("-inf"),
        10**400,
        True,
        None,
        timedelta(days=-1),
        timedelta.max,
    ],
)
def test_refuses_by_name(value: Duration) -> None:
    with pytest.raises(InvalidOption, match=r"^timeout="):
        to_ms(value, name="timeout")


@pytest.mark.parametrize("value", ["25", " 0.5 "])
def test_a_text_without_a_unit_is_told_of_seconds(value: str) -> None:
    with pytest.raises(InvalidOption, match=f"did you mean '{value.strip()}s'") as refused:
        to_ms(value, name="drain")

    assert "timedelta" not in str(refused.value)


@pytest.mark.parametrize(("value", "is_told"), [("soon", False), (None, True)])
def test_forms_of_python_are_told_where_they_can_be_written(value: Any, *, is_told: bool) -> None:  # noqa: ANN401
    with pytest.raises(InvalidOption, match="write '250ms'") as refused:
        to_ms(value)

    assert ("a number of seconds or a timedelta" in str(refused.value)) is is_told


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0s"), (1, "1ms"), (90_000, "90s"), (3_600_000, "1h"), (86_400_000, "1d")],
)
def test_writes_the_shortest_exact_text(ms: int, text: str) -> None:
    assert to_text(ms) == text


def test_longest_is_ten_years() -> None:
    assert to_ms(DURATION_MS_MAX / 1_000) == DURATION_MS_MAX
