"""Build the function that checks and encodes one shape; runs no user code but attribute access.

The Avro library does not validate (it writes a bool where a long belongs), and validating apart
costs a second pass, so each encoder checks and writes at once. Errors carry the path to the value.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from struct import Struct
from typing import TYPE_CHECKING, NoReturn, TypeAlias, assert_never
from uuid import UUID

from jobstream_schemas.errors import EncodeError, shown
from jobstream_schemas.logical_values import days_of, decimal_bytes, micros_of
from jobstream_schemas.primitives import LONG_MAX, LONG_MIN, long_bytes, text_bytes
from jobstream_schemas.shapes import (
    DecimalSpec,
    EnumOf,
    ListOf,
    LiteralOf,
    Logical,
    MapOf,
    OptionalOf,
    RecordOf,
    Scalar,
    Shape,
    TupleOf,
)

if TYPE_CHECKING:
    from enum import Enum

Encoder: TypeAlias = Callable[[object], bytes]

_pack_double = Struct("<d").pack


def encoder(shape: Shape) -> Encoder:  # one return per shape
    """The encoder of a shape: value to Avro bytes, or `EncodeError` with the path inside it."""
    match shape:
        case Scalar(kind):
            return _SCALARS[kind]
        case Logical(kind):
            return _LOGICALS[kind]
        case DecimalSpec():
            return _decimal(shape)
        case LiteralOf(values):
            return _literal(values)
        case EnumOf(cls):
            return _enum(cls)
        case ListOf(item):
            return _items(list, encoder(item))
        case TupleOf(item):
            return _items(tuple, encoder(item))
        case MapOf(value):
            return _map(encoder(value))
        case OptionalOf(item, null_first):
            return _optional(encoder(item), null_first=null_first)
        case RecordOf():
            return _record(shape)
        case _:
            assert_never(shape)


def _climb(error: EncodeError, step: str) -> NoReturn:
    error.path = step + error.path
    raise error


def _string(value: object) -> bytes:
    if isinstance(value, str):
        return text_bytes(value)
    raise EncodeError.of(value, "a str")


def _long(value: object) -> bytes:
    if isinstance(value, int) and not isinstance(value, bool):
        if LONG_MIN <= value <= LONG_MAX:
            return long_bytes(value)
        raise EncodeError.of(value, "an int of at most 64 bits, or declare it as str or Decimal")
    raise EncodeError.of(value, "an int")


def _double(value: object) -> bytes:
    if isinstance(value, (float, int)) and not isinstance(value, bool):
        try:
            return _pack_double(float(value))
        except OverflowError:
            raise EncodeError.of(value, "a number that a 64-bit float can hold") from None
    raise EncodeError.of(value, "a float")


def _boolean(value: object) -> bytes:
    if value is True:
        return b"\x01"
    if value is False:
        return b"\x00"
    raise EncodeError.of(value, "a bool")


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return long_bytes(len(value)) + value
    raise EncodeError.of(value, "bytes")


def _uuid(value: object) -> bytes:
    if isinstance(value, UUID):
        return text_bytes(str(value))
    raise EncodeError.of(value, "a uuid.UUID")


def _date(value: object) -> bytes:
    # A datetime is a date to Python; its time would be lost.
    if isinstance(value, date) and not isinstance(value, datetime):
        return long_bytes(days_of(value))
    raise EncodeError.of(value, "a date without a time")


def _datetime(value: object) -> bytes:
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return long_bytes(micros_of(value))
    raise EncodeError.of(value, "an aware datetime, such as datetime.now(UTC)")


def _decimal(spec: DecimalSpec) -> Encoder:
    def encode(value: object) -> bytes:
        if isinstance(value, Decimal):
            return _bytes(decimal_bytes(value, spec))
        raise EncodeError.of(value, "a Decimal")

    return encode


def _literal(values: tuple[str, ...]) -> Encoder:
    known = {value: text_bytes(value) for value in values}

    def encode(value: object) -> bytes:
        if isinstance(value, str) and value in known:
            return known[value]
        raise EncodeError.of(value, f"one of {', '.join(map(repr, values))}")

    return encode


def _enum(cls: type[Enum]) -> Encoder:
    known = {member.name: long_bytes(at) for at, member in enumerate(cls)}

    def encode(value: object) -> bytes:
        if isinstance(value, cls):
            return known[value.name]
        raise EncodeError.of(value, f"a member of {cls.__name__}")

    return encode


def _items(kind: type[list[object] | tuple[object, ...]], item: Encoder) -> Encoder:
    def encode(value: object) -> bytes:
        if not isinstance(value, kind):
            raise EncodeError.of(value, f"a {kind.__name__}")
        if not value:
            return b"\x00"
        parts = [long_bytes(len(value))]
        try:
            parts.extend(map(item, value))
        except EncodeError as error:
            _climb(error, f"[{len(parts) - 1}]")
        parts.append(b"\x00")
        return b"".join(parts)

    return encode


def _map(item: Encoder) -> Encoder:
    def encode(value: object) -> bytes:
        if not isinstance(value, dict):
            raise EncodeError.of(value, "a dict")
        if not value:
            return b"\x00"
        parts = [long_bytes(len(value))]
        for key, each in value.items():
            try:
                parts.append(_string(key) + item(each))
            except EncodeError as error:
                _climb(error, f"[{shown(key)}]")
        parts.append(b"\x00")
        return b"".join(parts)

    return encode


def _optional(item: Encoder, *, null_first: bool) -> Encoder:
    null, other = (b"\x00", b"\x02") if null_first else (b"\x02", b"\x00")

    def encode(value: object) -> bytes:
        return null if value is None else other + item(value)

    return encode


def _record(shape: RecordOf) -> Encoder:
    cls = shape.cls
    steps = tuple(
        (field.name, _hiding(encoder(field.shape)) if field.secret else encoder(field.shape))
        for field in shape.fields
    )

    def encode(value: object) -> bytes:
        if not isinstance(value, cls):
            raise EncodeError.of(value, f"an instance of {cls.__name__}")
        parts = []
        name = ""
        try:
            for name, step in steps:  # the name is needed where it fails
                parts.append(step(getattr(value, name)))  # likewise
        except EncodeError as error:
            _climb(error, f".{name}")
        return b"".join(parts)

    return encode


def _hiding(step: Encoder) -> Encoder:
    """The encoder of a secret field: its errors tell neither the value nor what is in it."""

    def encode(value: object) -> bytes:
        try:
            return step(value)
        except EncodeError:
            message = f"got a {type(value).__name__} that does not fit; its value is secret"
        raise EncodeError(message)

    return encode


_SCALARS: dict[str, Encoder] = {
    "string": _string,
    "long": _long,
    "double": _double,
    "boolean": _boolean,
    "bytes": _bytes,
}
_LOGICALS: dict[str, Encoder] = {"uuid": _uuid, "date": _date, "datetime": _datetime}
