"""Build the function that decodes one shape straight into its declared type; resolves no schema.

For bytes written with this very schema, which are nearly all: it is nearly twice as fast as the
library's dict turned into the class. Bytes of other schemas go through the library and `resolver`.
A text cut short is noticed at the end, by a position beyond the data (see `primitives`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, assert_never
from uuid import UUID

from jobstream_schemas.errors import DecodeError, SchemaMismatch
from jobstream_schemas.logical_values import date_at, decimal_of, instant_at
from jobstream_schemas.making import refused
from jobstream_schemas.primitives import read_long, read_text
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

Decoder: TypeAlias = Callable[[bytes, int], tuple[Any, int]]

_unpack_double = Struct("<d").unpack_from


def decoder(shape: Shape) -> Decoder:  # one return per shape
    """The decoder of a shape: bytes and position to value and next position.

    The class's own checks run. It raises `SchemaMismatch` for what they refuse, and for a text that
    is none of a Literal's values. For bytes that hold no such value it raises `DecodeError`,
    or `IndexError`, `ValueError` and the like; the caller makes one error of them.
    """
    match shape:
        case Scalar(kind):
            return _SCALARS[kind]
        case Logical(kind):
            return _LOGICALS[kind]
        case DecimalSpec():
            return _decimal(shape)
        case EnumOf(cls):
            return _enum(cls)
        case LiteralOf(values):
            return _literal(frozenset(values))
        case ListOf(item):
            return _items(decoder(item))
        case TupleOf(item):
            return _then(tuple, _items(decoder(item)))
        case MapOf(item):
            return _then(dict, _items(_pair(decoder(item))))
        case OptionalOf(item, null_first):
            return _optional(decoder(item), null_first=null_first)
        case RecordOf():
            return _record(shape)
        case _:
            assert_never(shape)


def _refuse(what: str, at: int) -> NoReturn:
    message = f"{what} at byte {at}"
    raise DecodeError(message)


def _then(make: Callable[[Any], object], inner: Decoder) -> Decoder:
    def decode(data: bytes, at: int) -> tuple[object, int]:
        value, at = inner(data, at)
        return make(value), at

    return decode


def _double(data: bytes, at: int) -> tuple[float, int]:
    return _unpack_double(data, at)[0], at + 8


def _boolean(data: bytes, at: int) -> tuple[bool, int]:
    byte = data[at]
    if byte > 1:
        _refuse(f"boolean {byte}", at)
    return byte == 1, at + 1


def _bytes(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = read_long(data, at)
    if size < 0:
        _refuse(f"length {size}", at)
    return data[at : at + size], at + size


def _decimal(spec: DecimalSpec) -> Decoder:
    return _then(lambda raw: decimal_of(raw, spec), _bytes)


def _enum(cls: type[Enum]) -> Decoder:
    members = tuple(cls)

    def decode(data: bytes, at: int) -> tuple[Enum, int]:
        index, end = read_long(data, at)
        if not 0 <= index < len(members):
            _refuse(f"symbol {index} of {len(members)}", at)
        return members[index], end

    return decode


def _literal(values: frozenset[str]) -> Decoder:
    def decode(data: bytes, at: int) -> tuple[str, int]:
        value, end = read_text(data, at)
        if value not in values:
            known = f"none of {', '.join(sorted(map(repr, values)))}"
            message = f"{value[:80]!r} is {known}"
            raise SchemaMismatch(message, f"a text is {known}")
        return value, end

    return decode


def _items(item: Decoder) -> Decoder:
    def decode(data: bytes, at: int) -> tuple[list[Any], int]:
        items = []
        count, at = read_long(data, at)
        while count:
            if count < 0:
                # A negative count announces the block's bytes, for readers that skip it.
                _, at = read_long(data, at)
            for _ in range(abs(count)):
                value, at = item(data, at)
                items.append(value)
            count, at = read_long(data, at)
        return items, at

    return decode


def _pair(item: Decoder) -> Decoder:
    def decode(data: bytes, at: int) -> tuple[tuple[str, Any], int]:
        key, at = read_text(data, at)
        value, at = item(data, at)
        return (key, value), at

    return decode


def _optional(item: Decoder, *, null_first: bool) -> Decoder:
    null, other = (0, 2) if null_first else (2, 0)

    def decode(data: bytes, at: int) -> tuple[Any, int]:
        branch = data[at]
        if branch == other:
            return item(data, at + 1)
        if branch != null:
            _refuse(f"union branch {branch}", at)
        return None, at + 1

    return decode


def _record(shape: RecordOf) -> Decoder:
    steps = tuple(decoder(field.shape) for field in shape.fields)
    make = _maker(shape)

    def decode(data: bytes, at: int) -> tuple[object, int]:
        values = []
        for step in steps:
            value, at = step(data, at)
            values.append(value)
        try:
            return make(*values), at
        except Exception as error:
            raise refused(shape.cls, "args", error) from error

    return decode


def _maker(shape: RecordOf) -> Callable[..., object]:
    """The class, if its fields can be given in their order; else a call that names them."""
    cls, names = shape.cls, [field.name for field in shape.fields]
    given = inspect.signature(cls).parameters
    is_ordered = all(each.kind is each.POSITIONAL_OR_KEYWORD for each in given.values())
    if is_ordered and list(given) == names:
        return cls
    return lambda *values: cls(**dict(zip(names, values, strict=True)))


_SCALARS: dict[str, Decoder] = {
    "string": read_text,
    "long": read_long,
    "double": _double,
    "boolean": _boolean,
    "bytes": _bytes,
}
_LOGICALS: dict[str, Decoder] = {
    "uuid": _then(UUID, read_text),
    "date": _then(date_at, read_long),
    "datetime": _then(instant_at, read_long),
}
