"""Times, spans, counts and states in the words of the pages. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite

NONE = "\N{EN DASH}"
_STEPS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))
_TEN, _HUNDRED = 10, 100
TONES = {
    "running": "go",
    "waiting": "calm",
    "queued or running": "calm",
    "delayed": "calm",
    "retrying": "warn",
    "moving": "calm",
    "done": "good",
    "dead": "bad",
    "cancelled": "off",
    "expired": "off",
    "duplicate": "off",
    "paused": "warn",
    "late": "bad",
    "on time": "good",
    "open": "bad",
    "closed": "good",
    "half open": "warn",
    "ok": "good",
    "not well": "bad",
    "live": "good",
    "ready": "good",
    "not ready": "warn",
    "gone": "bad",
    "quiet": "warn",
    "draining": "warn",
    "queued": "calm",
    "waits": "warn",
    "dead letter": "bad",
    "letter closed": "off",
    "failed": "bad",
    "stopped": "off",
}
"""State → which of six tones says it beside the word."""
KINDS = {
    "pause_queue": "queue paused",
    "pause_type": "type paused",
    "cancel": "job cancelled",
    "quiet": "worker takes no jobs",
    "drain": "worker drains and leaves",
    "hold_breaker": "breaker held",
    "breaker_opened": "breaker opened by a worker",
    "set_limit": "limit changed",
}
"""Kind of a control entry → in words."""


def span(seconds: float | None) -> str:
    """A length of time in two units at most, as in `3 min 20 s`."""
    if seconds is None or not isfinite(seconds):
        return NONE
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{round(seconds * 1000)} ms" if seconds else "0 s"
    if seconds < _TEN:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    for size, unit, below, below_unit in _STEPS:
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit}" + (f" {rest} {below_unit}" if rest else "")
    return f"{whole} s"


def coarse(seconds: float) -> str:
    """A length of time in its largest unit, for `… ago`."""
    whole = round(max(0.0, seconds))
    for size, unit, _, _ in _STEPS:
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def ago(moment: datetime, now_s: float) -> str:
    """How long before or after now that was."""
    seconds = now_s - moment.timestamp()
    if abs(seconds) < 1:
        return "now"
    return f"{coarse(seconds)} ago" if seconds > 0 else f"in {coarse(-seconds)}"


def absolute(moment: datetime, *, with_millis: bool = False) -> str:
    """The moment in UTC, to the second or to the millisecond."""
    told = moment.astimezone(UTC)
    millis = f".{told.microsecond // 1000:03d}" if with_millis else ""
    return f"{told:%Y-%m-%d %H:%M:%S}{millis} UTC"


def number(value: float | None) -> str:
    """A count with thin spaces between thousands; of an estimate at most one decimal."""
    if value is None or not isfinite(value):
        return NONE
    if isinstance(value, int) or value >= _HUNDRED or value == int(value):
        return f"{round(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return f"{value:.1f}"


def percent(part: float, whole: float) -> str:
    """A share for the width of a bar, from 0% to 100%."""
    share = 0.0 if whole <= 0 else min(1.0, max(0.0, part / whole))
    return f"{share * 100:.2f}%"


def percent_of(share: float) -> str:
    """A share of 1 in words: no share that is there reads as none, or as all."""
    whole = round(share * 100)
    if share < 1 and whole == _HUNDRED:
        return "over 99%"
    return "under 1%" if share > 0 and not whole else f"{whole}%"


def tone(state: str) -> str:
    """The tone of a state; an unknown one is calm."""
    return TONES.get(state, "calm")
