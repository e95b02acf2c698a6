"""`date`: days since 1970-01-01 (Avro `date`)."""

from __future__ import annotations

from datetime import date, datetime

from jobstream_schemas.errors import EncodeError
from jobstream_schemas.primitives import long_bytes, read_long
from jobstream_schemas.shapes.exact import plain_value
from jobstream_schemas.shapes.key_text import KeyField
from jobstream_schemas.shapes.leaf import Leaf, from_text

_EPOCH_DAY = date(1970, 1, 1).toordinal()


def _days_of(value: date) -> int:
    return value.toordinal() - _EPOCH_DAY


def _date_at(days: int) -> date:
    """Raises `OverflowError` or `ValueError` outside years 1 to 9999."""
    return date.fromordinal(days + _EPOCH_DAY)


def _encode(value: object) -> bytes:
    if type(value) is not date:
        # A datetime is a date to Python; its time would be lost.
        if isinstance(value, datetime):
            raise EncodeError.of(value, "a date without a time")
        value = plain_value(value, date, _plain, "a date without a time")
    return long_bytes(_days_of(value))


def _plain(value: date) -> date:
    return date(value.year, value.month, value.day)


KIND = Leaf(
    hint=date,
    primitive="int",
    logical="date",
    encode=_encode,
    decode=read_long,
    make=_date_at,
    tell=_days_of,
    in_key=KeyField("", lambda value: f'"{value.isoformat()}"'),
    default=_days_of,
    read_json=from_text(date.fromisoformat),
    words="a date as in 2026-01-31",
    example="2026-01-31",
).kind()
