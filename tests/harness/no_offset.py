"""A zone that is none."""

from __future__ import annotations

from datetime import tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class NoOffset(tzinfo):
    """A zone that does not know its distance from UTC, so that a datetime with it is naive."""

    def utcoffset(self, _dt: datetime | None, /) -> None:
        return None

    dst = tzname = utcoffset
