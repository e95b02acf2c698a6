"""What stands for a moment on the command line, and what points at offsets."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from jobstream.cli.offsets import target_of
from jobstream.cli.options import moment
from jobstream.errors import ConfigError
from jobstream.inspect import offsets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31).astimezone()),
        ("1769860800", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("1769860800000", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ],
)
def test_a_moment_is_told_in_several_ways(text: str, expected: datetime) -> None:
    assert moment("--since", text) == round(expected.timestamp() * 1000)


def test_a_duration_is_that_long_ago() -> None:
    before_ms = time.time() * 1000
    found = moment("--since", "2h")

    assert found is not None
    assert -1 <= found - (before_ms - 7_200_000) <= 60_000


def test_none_is_none() -> None:
    assert moment("--since", None) is None


@pytest.mark.parametrize("text", ["soon", "", "-5", "2026-13-01", "5 apples"])
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--since=.*2026-01-31T12:00") as caught:
        moment("--since", text)

    assert repr(text) in str(caught.value)


def test_the_ends_of_the_log_have_names() -> None:
    assert target_of("earliest") is offsets.earliest
    assert target_of("latest") is offsets.latest


def test_neither_name_nor_number_nor_moment_is_refused() -> None:
    with pytest.raises(ConfigError, match="--to='beginning'"):
        target_of("beginning")
