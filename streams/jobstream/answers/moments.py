"""Times of records as answers show them, and as they are asked for."""

from __future__ import annotations

from datetime import UTC, datetime

MS_MAX = 253_402_300_799_000
"""The last second of the year 9999: no `datetime` is later."""


def datetime_of(at_ms: int) -> datetime:
    """A time in milliseconds since the epoch, in UTC; the nearest one that a `datetime` can be."""
    return datetime.fromtimestamp(min(max(0, at_ms), MS_MAX) / 1000, UTC)


def ms_of(moment: datetime | None) -> int | None:
    """The other way round; None for none."""
    return None if moment is None else round(moment.timestamp() * 1000)
