"""A job's life as bars over time: what it did in each stretch, and why it waited. Pure.

The records of a job tell when each stretch began: a copy on the queue, one on the ladder, a row, a
letter. When a handler really began, none tells, so a stretch on the queue holds wait and run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jobstream.operate.state_names import ENDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream.answers.job_screen import JobStep

BARS_MAX = 120
"""More stretches than that are drawn as one bar for each of the first, and one for all the rest."""
WIDTH_PERCENT_MIN = 0.6
"""A stretch of no length at all is still seen."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One bar."""

    lane: int
    """The attempt it belongs to, from 0 on."""
    label: str
    kind: str
    """`queue`, `wait`, `retry`, `run`, `dead`, `end` or `gap`: how it is drawn."""
    begins: datetime
    ends: datetime
    left: str
    width: str
    """Both in percent of the drawing."""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.ends - self.begins).total_seconds()


@dataclass(frozen=True, slots=True)
class Timeline:
    """The drawing: bars in lanes, from `begins` to `ends`."""

    begins: datetime
    ends: datetime
    stretches: tuple[Stretch, ...]
    lanes: tuple[str, ...]
    """Attempts by name; the later ones below."""
    lanes_left_out: int

    @property
    def seconds(self) -> float:
        """From the first record to the last, or to now."""
        return (self.ends - self.begins).total_seconds()


@dataclass(frozen=True, slots=True)
class _Piece:
    lane: tuple[int, int]
    label: str
    kind: str
    begins: datetime
    ends: datetime


LANES_MAX = 40


def timeline(
    steps: Sequence[JobStep], now: datetime, *, has_ended: bool, left_out: bool = False
) -> Timeline | None:
    """The bars of these steps, up to now for a job that goes on; None without any step."""
    if not steps:
        return None
    last = max(now, steps[-1].at) if not has_ended else steps[-1].at
    pieces = _pieces(steps, last, has_ended=has_ended)
    begins = min(piece.begins for piece in pieces)
    keys = sorted({piece.lane for piece in pieces})
    shown = keys if len(keys) <= LANES_MAX else [*keys[:8], *keys[8 - LANES_MAX :]]
    at = {key: index for index, key in enumerate(shown)}
    whole = max((last - begins).total_seconds(), 0.001)

    def drawn(piece: _Piece) -> Stretch:
        left = (piece.begins - begins).total_seconds() / whole * 100
        width = max(WIDTH_PERCENT_MIN, (piece.ends - piece.begins).total_seconds() / whole * 100)
        left = min(left, 100 - WIDTH_PERCENT_MIN)
        width = min(width, 100 - left)
        return Stretch(
            at[piece.lane],
            piece.label,
            piece.kind,
            piece.begins,
            piece.ends,
            f"{left:.3f}%",
            f"{width:.3f}%",
        )

    bars = [drawn(piece) for piece in pieces if piece.lane in at]
    if len(bars) > BARS_MAX:
        bars = bars[: BARS_MAX // 2] + bars[-BARS_MAX // 2 :]
    redriven = any(redrive for redrive, _ in shown)
    names = tuple(
        f"redrive {redrive}, attempt {attempt}" if redriven and redrive else f"attempt {attempt}"
        for redrive, attempt in shown
    )
    return Timeline(
        begins, last, tuple(bars), names, len(keys) - len(shown) + int(left_out and not keys)
    )


def _pieces(steps: Sequence[JobStep], last: datetime, *, has_ended: bool) -> list[_Piece]:
    pieces = []
    telling = [step for step in steps if _is_telling(step)]
    for index, step in enumerate(telling):
        following = telling[index + 1] if index + 1 < len(telling) else None
        ends = following.at if following is not None else (step.at if has_ended else last)
        kind, label = _kind(step, following)
        pieces.append(_Piece(_lane(step), label, kind, step.at, max(step.at, ends)))
    return pieces or [_Piece(_lane(steps[0]), steps[0].what, "gap", steps[0].at, last)]


def _is_telling(step: JobStep) -> bool:
    return step.what in {"queued", "waits", "dead letter"} or (
        step.what == "row" and step.detail.get("state") in ENDED
    )


def _kind(step: JobStep, following: JobStep | None) -> tuple[str, str]:
    if step.what == "queued":
        return "queue", "on the queue, and run" if following is not None else "on the queue"
    if step.what == "waits":
        reason = step.detail.get("waits") or ""
        if step.detail.get("error") and not reason:
            return "retry", "waits to be tried again"
        return "wait", f"waits: {reason or 'later'}"
    if step.what == "dead letter":
        return "dead", "dead"
    state = str(step.detail.get("state", ""))
    return ("dead" if state == "dead" else "end"), state


def _lane(step: JobStep) -> tuple[int, int]:
    redrive, attempt = step.detail.get("redrive", 0), step.detail.get("attempt", 1)
    # A copy that waits for its next attempt names that one already: it is drawn where it failed.
    return int(redrive or 0), max(1, int(attempt or 1))
