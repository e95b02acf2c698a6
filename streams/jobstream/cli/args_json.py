"""JSON values turned into a job's args dataclass, by its declared types; errors name the field.

The forms are those that `dlq show` prints: bytes as base64, decimals, dates, times and UUIDs as
text, enum members by name, `NaN` and `Infinity` as texts. It knows no schema on
the wire and sends nothing.
"""

from __future__ import annotations

import base64
import dataclasses
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, assert_never
from uuid import UUID

from jobstream.errors import ConfigError
from jobstream_schemas.declared import record_of
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
    from collections.abc import Callable, Iterable

_SHOWN_CHARS = 80


def args_from(cls: type, value: object) -> Any:  # noqa: ANN401 - an instance of `cls`
    """An instance of the dataclass `cls`; raises ConfigError naming field, value and fix."""
    return _record(record_of(cls), value, cls.__name__)


def _build(shape: Shape, value: object, path: str) -> Any:  # noqa: ANN401 - by shape
    match shape:
        case Scalar(kind):
            return _scalar(kind, value, path)
        case Logical(kind):
            return _text_of(_LOGICALS[kind], value, path)
        case DecimalSpec():
            return _decimal(value, path)
        case EnumOf(cls):
            return cls[_one_of([member.name for member in cls], value, path)]
        case LiteralOf(values):
            return _one_of(values, value, path)
        case ListOf(item):
            return _items(item, value, path)
        case TupleOf(item):
            return tuple(_items(item, value, path))
        case MapOf(item):
            return {
                name: _build(item, each, f"{path}[{name!r}]")
                for name, each in _object(value, path).items()
            }
        case OptionalOf(item):
            return None if value is None else _build(item, value, path)
        case RecordOf():
            return _record(shape, value, path)
        case _:
            assert_never(shape)


def _record(shape: RecordOf, value: object, path: str) -> Any:  # noqa: ANN401 - its class
    given = _object(value, path)
    known = {field.name: field.shape for field in shape.fields}
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            fix = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            message = f"{path} has no field {name!r}; {fix}"
            raise ConfigError(message)
    missing = [name for name in _required(shape.cls) if name not in given]
    if missing:
        message = f"{path}.{missing[0]} is missing; it has no default"
        raise ConfigError(message)
    secret = {field.name for field in shape.fields if field.secret}
    values = {
        name: _field(known[name], each, f"{path}.{name}", secret=name in secret)
        for name, each in given.items()
    }
    try:
        return shape.cls(**values)
    except (TypeError, ValueError) as error:  # the class's own checks
        message = f"{path}: {error}" if not secret else f"{path}: its own checks refuse the values"
        raise ConfigError(message) from (error if not secret else None)


def _field(shape: Shape, value: object, path: str, *, secret: bool) -> Any:  # noqa: ANN401 - by shape
    if not secret:
        return _build(shape, value, path)
    try:
        return _build(shape, value, path)
    except ConfigError:
        message = f"{path}: a value that does not fit its type; it is secret and not shown"
        raise ConfigError(message) from None


def _required(cls: type) -> list[str]:
    missing = dataclasses.MISSING
    return [
        field.name
        for field in dataclasses.fields(cls)
        if field.default is missing and field.default_factory is missing
    ]


def _scalar(kind: str, value: object, path: str) -> object:
    match kind, value:
        case "string", str():
            return value
        case "boolean", bool():
            return value
        case "long", int() if not isinstance(value, bool):
            return value
        case "double", int() | float() | Decimal() if not isinstance(value, bool):
            return float(value)
        case "double", "NaN" | "Infinity" | "-Infinity":
            return float(value)
        case "bytes", str():
            return _text_of(("base64 text", _base64), value, path)
    raise _refused(path, value, _WANTED[kind])


def _base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(text)
    return found


_WANTED = {
    "string": "a text",
    "boolean": "true or false",
    "long": "a whole number",
    "double": "a number",
    "bytes": "base64 text",
}
_LOGICALS: dict[str, tuple[str, Callable[[str], object]]] = {
    "uuid": ("a UUID", UUID),
    "date": ("a date as in 2026-01-31", date.fromisoformat),
    "datetime": ("a time with its zone, as in 2026-01-31T12:00:00Z", _moment),
}


def _text_of(form: tuple[str, Callable[[str], object]], value: object, path: str) -> object:
    wanted, read = form
    if isinstance(value, str):
        try:
            return read(value)
        except ValueError:
            pass
    raise _refused(path, value, wanted)


def _decimal(value: object, path: str) -> Decimal:
    # Numbers of JSON are read as Decimal where they have a point: no digit is lost on the way.
    if isinstance(value, str | int | float | Decimal) and not isinstance(value, bool):
        try:
            return Decimal(str(value))
        except InvalidOperation:
            pass
    raise _refused(path, value, 'a decimal, as in "12.50"')


def _one_of(allowed: Iterable[str], value: object, path: str) -> str:
    names = list(allowed)
    if isinstance(value, str) and value in names:
        return value
    raise _refused(path, value, "one of " + ", ".join(names))


def _items(item: Shape, value: object, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise _refused(path, value, "a list")
    return [_build(item, each, f"{path}[{index}]") for index, each in enumerate(value)]


def _object(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _refused(path, value, "an object")
    return value


def _refused(path: str, value: object, wanted: str) -> ConfigError:
    shown = str(value) if isinstance(value, Decimal) else repr(value)
    if len(shown) > _SHOWN_CHARS:
        shown = shown[:_SHOWN_CHARS] + "…"
    return ConfigError(f"{path}: got {shown}; give {wanted}")
