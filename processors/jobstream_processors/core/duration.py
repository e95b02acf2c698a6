"""Durations as users write them ("5s", "10m", 1.5, timedelta) turned into whole milliseconds."""

from __future__ import annotations

import re
from datetime import timedelta

from jobstream_processors.errors import InvalidOption

Duration = str | int | float | timedelta
"""A length of time: "250ms", "5s", "10m", "6h", "1d", a number of seconds, or a timedelta."""

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PATTERN = re.compile(r"(-?\d{1,15}(?:\.\d{1,15})?)\s*(ms|s|m|h|d)", re.ASCII)
_BARE = re.compile(r"\d{1,15}(?:\.\d{1,15})?", re.ASCII)
DURATION_MS_MAX = 3_650 * 86_400_000
"""Ten years of 365 days."""


def to_ms(
    value: Duration, *, name: str = "duration", least_ms: int = 0, most_ms: int = DURATION_MS_MAX
) -> int:
    """Whole milliseconds of `value`.

    Raises InvalidOption, which names `name`, the value and the limits, for anything unreadable and
    for what is below `least_ms` or above `most_ms`.
    """
    ms = _read(value, name)
    if not least_ms <= ms <= most_ms:
        message = f"{name}={value!r} is outside {to_text(least_ms)} .. {to_text(most_ms)}"
        raise InvalidOption(message)
    return ms


def _read(value: Duration, name: str) -> int:
    if isinstance(value, timedelta):
        return round(value.total_seconds() * 1000)
    if isinstance(value, str):
        match = _PATTERN.fullmatch(value.strip())
        if match:
            return round(float(match[1]) * _UNITS_MS[match[2]])
    elif isinstance(value, int | float) and not isinstance(value, bool) and value == value:  # noqa: PLR0124 - NaN is the one value unequal to itself
        # Clamped, so that infinities round to something; what was clamped is refused by `to_ms`.
        return round(max(-1, min(value, DURATION_MS_MAX)) * 1000)
    message = f"{name}={value!r} is not a duration: {_fix(value)}"
    raise InvalidOption(message)


def _fix(value: object) -> str:
    if not isinstance(value, str):
        return "write '250ms', '5s', '10m', '6h', '1d', a number of seconds or a timedelta"
    # A text may come from a variable or the command line, where nothing but texts can be written.
    if _BARE.fullmatch(value.strip()):
        return f"it has no unit, did you mean '{value.strip()}s'?"
    return "write '250ms', '5s', '10m', '6h' or '1d'"


def to_text(ms: int) -> str:
    """The shortest exact spelling of `ms`, for messages: 90_000 -> "90s", 3_600_000 -> "1h"."""
    for unit in ("d", "h", "m", "s"):
        if ms and ms % _UNITS_MS[unit] == 0:
            return f"{ms // _UNITS_MS[unit]}{unit}"
    return f"{ms}ms" if ms else "0s"
