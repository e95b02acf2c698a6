"""How old an answer is, and where it comes from; part of every answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Source = Literal["log", "views", "code"]


@dataclass(frozen=True, slots=True)
class AsOf:
    """The moment at which an answer was true, and its source."""

    source: Source
    """`log`: read from Kafka. `views`: the projection. `code`: what the app declares."""
    at: datetime
    """When it was true, by this machine's clock."""
    age_s: float
    """Seconds since then, when the answer was given."""
    stale: str = ""
    """Why the answer is older than it should be; empty if it is not."""
    why_log: str = ""
    """Why the log was asked in place of the views, which tell more; empty if there are none."""


def as_of(source: Source, age_s: float, now_s: float, stale: str = "") -> AsOf:
    """An `AsOf` of so many seconds before `now_s`, seconds since the epoch."""
    age_s = max(0.0, age_s)
    return AsOf(source, datetime.fromtimestamp(now_s - age_s, UTC), round(age_s, 3), stale)
