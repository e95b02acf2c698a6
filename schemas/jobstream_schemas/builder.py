"""Build the function that turns a decoded Avro record into the declared dataclass; reads no bytes.

It takes Avro's own values (no logical types: see `logical_values`). A container is always copied,
since the Avro library hands out a field's default without copying, and a handler may change it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, assert_never
from uuid import UUID

from jobstream_schemas.errors import DecodeError, shown
from jobstream_schemas.logical_values import date_at, decimal_of, instant_at
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

Builder: TypeAlias = Callable[[Any], Any]

_LOGICALS: dict[str, Builder] = {"uuid": UUID, "date": date_at, "datetime": instant_at}


def record_builder(shape: RecordOf) -> Builder:
    """The function from a decoded record to an instance of its class, by calling the class.

    The class's own checks run and may raise anything. A value that no declared type allows
    raises `DecodeError`, `ValueError` or `OverflowError`; the caller makes one error of them.
    """
    cls = shape.cls
    steps = tuple(
        (field.name, step) for field in shape.fields if (step := _builder(field.shape)) is not None
    )
    if not steps:
        return lambda record: cls(**record)

    def build(record: dict[str, Any]) -> object:
        # A copy: the record may be a nested default, shared by every job that lacks the field.
        values = dict(record)
        for name, step in steps:
            values[name] = step(values[name])
        return cls(**values)

    return build


def _builder(shape: Shape) -> Builder | None:  # noqa: PLR0911  # one return per shape
    """The conversion of a shape's values; None where Avro's value is the declared one."""
    match shape:
        case Scalar("bytes"):
            return _raw
        case Scalar():
            return None
        case Logical(kind):
            return _LOGICALS[kind]
        case DecimalSpec():
            return lambda value: decimal_of(_raw(value), shape)
        case EnumOf(cls):
            return {member.name: member for member in cls}.__getitem__
        case LiteralOf(values):
            return _literal(frozenset(values))
        case ListOf(item):
            return _sequence(list, _builder(item))
        case TupleOf(item):
            return _sequence(tuple, _builder(item))
        case MapOf(item):
            return _map(_builder(item))
        case OptionalOf(item):
            return _optional(_builder(item))
        case RecordOf():
            return record_builder(shape)
        case _:
            assert_never(shape)


def _raw(value: bytes | str) -> bytes:
    # A default comes as JSON says it: text, one character per byte (Avro, "Complex types").
    return value.encode("latin-1") if isinstance(value, str) else value


def _literal(values: frozenset[str]) -> Builder:
    def build(value: str) -> str:
        if value in values:
            return value
        message = f"{shown(value)} is none of {', '.join(sorted(map(repr, values)))}"
        raise DecodeError(message)

    return build


def _sequence(kind: type[list[Any] | tuple[Any, ...]], item: Builder | None) -> Builder:
    if item is None:
        return kind
    return lambda value: kind(map(item, value))


def _map(item: Builder | None) -> Builder:
    if item is None:
        return dict
    return lambda value: {key: item(each) for key, each in value.items()}


def _optional(item: Builder | None) -> Builder | None:
    if item is None:
        return None
    return lambda value: None if value is None else item(value)
