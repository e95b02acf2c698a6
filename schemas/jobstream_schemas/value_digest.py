"""A digest of args that stays the same when their class changes; it tells no bytes of an event.

The encoded args of one value differ from version to version. Here a value is put down as what it
says: fields by name, numbers by their size, texts as UTF-8, maps by key; without the names of
classes, and without fields that hold their default, so a field added later changes nothing.

Two different values may have one digest (`1` and `1.0`, say); equal ones of one class never have
two, unless a default is made anew each time, such as an id or the time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING
from hashlib import blake2b
from math import isfinite
from typing import Any, TypeAlias, assert_never

from jobstream_schemas.logical_values import days_of, micros_of
from jobstream_schemas.shapes import (
    DecimalSpec,
    EnumOf,
    FieldOf,
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

DIGEST_BYTES = 16

Told: TypeAlias = Callable[[Any], object]
"""From a value that its encoder took to plain ints, bytes, tuples and None."""

# A subclass may have a `repr` of its own.
_EXACT: dict[str, Told] = {"long": int.__int__, "bytes": bytes.__bytes__, "boolean": bool}


def value_digest(shape: RecordOf) -> Callable[[Any], bytes]:
    """The function from args, checked by their encoder before, to 16 bytes of BLAKE2b.

    It calls the class's own default factories, to see whether a field holds its default.
    """
    told = _told(shape)
    return lambda args: blake2b(repr(told(args)).encode(), digest_size=DIGEST_BYTES).digest()


def _told(shape: Shape) -> Told:  # one return per shape
    match shape:
        case Scalar("string") | LiteralOf():
            return str.encode
        case Scalar("double"):
            return _number
        case Scalar(kind):
            return _EXACT[kind]
        case Logical(kind):
            return {"uuid": _uuid, "date": days_of, "datetime": micros_of}[kind]
        case DecimalSpec():
            return _number
        case EnumOf():
            return lambda member: member.name.encode()
        case ListOf(item) | TupleOf(item):
            inner = _told(item)
            return lambda values: tuple(map(inner, values))
        case MapOf(item):
            return _map(_told(item))
        case OptionalOf(item):
            inner = _told(item)
            return lambda value: None if value is None else inner(value)
        case RecordOf(_, fields):
            return _record(fields)
        case _:
            assert_never(shape)


def _uuid(value: Any) -> bytes:  # noqa: ANN401 - a UUID
    return str(value).encode()


def _number(value: Any) -> object:  # noqa: ANN401 - a float, an int or a Decimal
    """A whole number as an int, whatever its type; others by their shortest text."""
    if not isfinite(value):
        return str(float(value))
    ratio = value.as_integer_ratio()
    return ratio[0] if ratio[1] == 1 else ratio


def _map(inner: Told) -> Told:
    return lambda values: tuple(sorted((key.encode(), inner(each)) for key, each in values.items()))


def _record(fields: tuple[FieldOf, ...]) -> Told:
    steps = [
        (each.name, told, _default(each, told))
        for each in sorted(fields, key=lambda field: field.name)
        for told in (_told(each.shape),)
    ]

    def tell(value: object) -> object:
        parts = []
        for name, told, default in steps:
            said = told(getattr(value, name))
            if default is None or default() != said:
                parts.append((name, said))
        return tuple(parts)

    return tell


def _default(field: FieldOf, told: Told) -> Callable[[], object] | None:
    """What a field says when it holds its default; None for one that has none."""
    if field.default is not MISSING:
        said = told(field.default)
        return lambda: said
    make = field.factory
    if make is None:
        return None

    def made() -> object:
        try:
            return told(make())
        except Exception:  # noqa: BLE001 - user code, and the default was not asked for
            return MISSING

    return made
