"""`datetime`, aware: microseconds since the epoch (Avro `timestamp-micros`).

An instant comes back in UTC, whatever zone it had: the same instant.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jobstream_schemas.errors import EncodeError
from jobstream_schemas.primitives import long_bytes, read_long
from jobstream_schemas.shapes.exact import plain_value, richer
from jobstream_schemas.shapes.key_text import KeyField
from jobstream_schemas.shapes.leaf import Leaf, from_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MICROS_MIN = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_MICROS_MAX = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_WANTED = "an aware datetime, such as datetime.now(UTC)"


def _micros_of(value: datetime) -> int:
    """Raises `EncodeError` where the offset carries it out of years 1 to 9999 in UTC."""
    micros = (value - _EPOCH) // _MICROSECOND
    if not _MICROS_MIN <= micros <= _MICROS_MAX:
        raise EncodeError.of(value, "an instant in years 1 to 9999 in UTC")
    return micros


def _instant_at(micros: int) -> datetime:
    """Raises `OverflowError` out of range."""
    return _EPOCH + timedelta(microseconds=micros)


def _encode(value: object) -> bytes:
    if type(value) is not datetime:
        value = plain_value(value, datetime, _plain, _WANTED)
    if value.utcoffset() is None:
        raise EncodeError.of(value, _WANTED)
    return long_bytes(_micros_of(value))


def _plain(value: datetime) -> datetime:
    """The same instant as Python's own class; some have nanoseconds, and would lose them."""
    day = value.year, value.month, value.day
    time = value.hour, value.minute, value.second, value.microsecond
    plain = datetime(*day, *time, tzinfo=value.tzinfo, fold=value.fold)
    if plain != value:
        raise richer(value, "datetime")
    return plain


def _from_text(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError
    return found


KIND = Leaf(
    hint=datetime,
    primitive="long",
    logical="timestamp-micros",
    encode=_encode,
    decode=read_long,
    make=_instant_at,
    tell=_micros_of,
    in_key=KeyField("", lambda value: f'"{value.astimezone(UTC).isoformat()}"'),
    default=_micros_of,
    read_json=from_text(_from_text),
    words="a time with its zone, as in 2026-01-31T12:00:00Z",
    example="2026-01-31T12:00:00Z",
).kind()
