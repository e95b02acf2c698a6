"""What stands for a moment on the command line, and what points at offsets."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from jobstream.cli.commands.offsets import target_of
from jobstream.cli.letter_filter import filter_of
from jobstream.cli.options import moment, or_ours
from jobstream.cli.output import when
from jobstream.errors import BrokerUnavailable, ConfigError
from jobstream.operate import offsets


def never() -> int:
    """The brokers' time, where nobody needs it."""
    raise AssertionError


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
    assert moment("--since", text, never) == round(expected.timestamp() * 1000)


def test_a_duration_is_that_long_before_now_by_the_brokers() -> None:
    now_ms = 1_800_000_000_000
    several = dict.fromkeys(("ids", "job_types", "fingerprints"), ())
    given = several | dict.fromkeys(("error", "reason"))

    assert moment("--since", "2h", lambda: now_ms) == now_ms - 7_200_000
    chosen = filter_of(given | {"since": "2h", "until": "30m"}, lambda: now_ms)
    assert (chosen.since_ms, chosen.until_ms) == (now_ms - 7_200_000, now_ms - 1_800_000)


def test_none_is_none() -> None:
    assert moment("--since", None, never) is None


@pytest.mark.parametrize("text", ["soon", "", "-5", "2026-13-01", "5 apples", "9" * 15, "\u00b2"])
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--since=.*2026-01-31T12:00") as caught:
        moment("--since", text, never)

    assert repr(text) in str(caught.value)


def test_the_ends_of_the_log_have_names() -> None:
    assert target_of("earliest", never) is offsets.earliest
    assert target_of("latest", never) is offsets.latest


def test_neither_name_nor_number_nor_moment_is_refused() -> None:
    with pytest.raises(ConfigError, match="--to='beginning'"):
        target_of("beginning", never)


def test_a_moment_is_shown_to_the_millisecond() -> None:
    shown = when(1_769_860_800_042)

    assert ".042" in shown
    assert datetime.fromisoformat(shown) == datetime(2026, 1, 31, 12, 0, 0, 42_000, tzinfo=UTC)


def test_what_is_only_shown_needs_no_broker_and_asks_it_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = []

    def away() -> int:
        asked.append(1)
        message = "nobody answers"
        raise BrokerUnavailable(message)

    now_ms = or_ours(away)

    assert abs(now_ms() - time.time_ns() // 1_000_000) < 60_000
    assert now_ms()
    assert len(asked) == 1
    told = capsys.readouterr().err
    assert told == "ages are by this machine's clock: nobody answers\n"
    assert abs(or_ours(lambda: 42)() - 42) < 60_000
