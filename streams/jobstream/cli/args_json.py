"""JSON values turned into a job's args dataclass, by its declared types; errors name each field.

The forms are those that `dlq show` prints: bytes as base64, decimals, dates, times and UUIDs as
text, enum members by name, `NaN` and `Infinity` as texts. It knows no schema on
the wire and sends nothing.
"""

from __future__ import annotations

import base64
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, assert_never
from uuid import UUID

from jobstream.errors import ConfigError
from jobstream_schemas.shape_of import record_of
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SHOWN_CHARS = 80
_LINES_SHOWN = 50
T = TypeVar("T")


def args_from(cls: type, value: object) -> Any:  # noqa: ANN401 - an instance of `cls`
    """An instance of the dataclass `cls`; raises ConfigError naming every wrong field."""
    try:
        return _record(record_of(cls), value, cls.__name__)
    except _Wrong as wrong:
        head, *more = wrong.lines
        if more:
            shown = [*wrong.lines[:_LINES_SHOWN], *(["…"] if len(more) >= _LINES_SHOWN else [])]
            head = "\n  ".join([f"{len(wrong.lines)} fields are wrong:", *shown])
        raise ConfigError(head) from wrong.__cause__


class _Wrong(Exception):
    """What does not fit, a line for each field: its path, what was found, what is declared."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines


class _Gathered:
    """Goes on after a part that does not fit, to find the others."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def part(self, build: Callable[[], T]) -> T | None:
        """What `build` makes; None, which is never used, if it does not fit."""
        try:
            return build()
        except _Wrong as wrong:
            self.lines += wrong.lines
            return None

    def end(self) -> None:
        """Raise what was found, if anything was."""
        if self.lines:
            raise _Wrong(*self.lines)


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
            return _entries(item, value, path)
        case OptionalOf(item):
            return None if value is None else _build(item, value, path)
        case RecordOf():
            return _record(shape, value, path)
        case _:
            assert_never(shape)


def _record(shape: RecordOf, value: object, path: str) -> Any:  # noqa: ANN401 - its class
    given, found = _object(value, path), _Gathered()
    known = {field.name: field for field in shape.fields}
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            fix = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            found.lines.append(f"{path} has no field {name!r}; {fix}")
    values = {}
    for name, field in known.items():
        if name in given:
            values[name] = found.part(partial(_field, field, given[name], f"{path}.{name}"))
        elif not field.has_default:
            wanted = _declared(field.shape)
            found.lines.append(f"{path}.{name} is missing and has no default; give {wanted}")
    found.end()
    secret = any(field.secret for field in shape.fields)
    try:
        return shape.cls(**values)
    except (TypeError, ValueError) as error:  # the class's own checks
        message = f"{path}: {error}" if not secret else f"{path}: its own checks refuse the values"
        raise _Wrong(message) from (error if not secret else None)


def _field(field: FieldOf, value: object, path: str) -> Any:  # noqa: ANN401 - by shape
    if not field.secret:
        return _build(field.shape, value, path)
    try:
        return _build(field.shape, value, path)
    except _Wrong:
        message = f"{path}: a value that does not fit its type; it is secret and not shown"
        raise _Wrong(message) from None


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
_DECIMAL = 'a decimal, as in "12.50"'
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
    raise _refused(path, value, _DECIMAL)


def _one_of(allowed: Iterable[str], value: object, path: str) -> str:
    names = list(allowed)
    if isinstance(value, str) and value in names:
        return value
    raise _refused(path, value, _choice(names))


def _choice(names: Iterable[str]) -> str:
    return "one of " + ", ".join(names)


def _items(item: Shape, value: object, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise _refused(path, value, "a list")
    found = _Gathered()
    items = [
        found.part(partial(_build, item, each, f"{path}[{index}]"))
        for index, each in enumerate(value)
    ]
    found.end()
    return items


def _entries(item: Shape, value: object, path: str) -> dict[str, Any]:
    found = _Gathered()
    entries = {
        name: found.part(partial(_build, item, each, f"{path}[{name!r}]"))
        for name, each in _object(value, path).items()
    }
    found.end()
    return entries


def _declared(shape: Shape) -> str:
    """What is to be given for a shape, in words."""
    match shape:
        case Scalar(kind):
            return _WANTED[kind]
        case Logical(kind):
            return _LOGICALS[kind][0]
        case DecimalSpec():
            return _DECIMAL
        case EnumOf(cls):
            return _choice(member.name for member in cls)
        case LiteralOf(values):
            return _choice(values)
        case ListOf(item) | TupleOf(item):
            return f"a list, of {_declared(item)} each"
        case MapOf(item):
            return f"an object, of {_declared(item)} by name"
        case OptionalOf(item):
            return f"{_declared(item)}, or null"
        case RecordOf(cls):
            return f"an object with the fields of {cls.__name__}"
        case _:
            assert_never(shape)


def _object(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _refused(path, value, "an object")
    return value


def _refused(path: str, value: object, wanted: str) -> _Wrong:
    shown = str(value) if isinstance(value, Decimal) else repr(value)
    if len(shown) > _SHOWN_CHARS:
        shown = shown[:_SHOWN_CHARS] + "…"
    return _Wrong(f"{path}: got {shown}; give {wanted}")
