"""Read a dataclass into shapes; refuses by name what has none and never guesses a type."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, Flag
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin
from uuid import UUID

from jobstream_schemas.errors import SchemaRefused, UnsupportedType
from jobstream_schemas.secret import is_secret
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
from jobstream_schemas.wire_names import is_avro_name

_PLAIN: dict[object, Shape] = {
    str: Scalar("string"),
    int: Scalar("long"),
    float: Scalar("double"),
    bool: Scalar("boolean"),
    bytes: Scalar("bytes"),
    UUID: Logical("uuid"),
    date: Logical("date"),
    datetime: Logical("datetime"),
    Decimal: DecimalSpec(),
}
_INSTEAD: dict[object, str] = {
    list: "list[T] with an item type",
    tuple: "tuple[T, ...] with an item type",
    dict: "dict[str, T] with a value type",
    set: "list[T]",
    frozenset: "tuple[T, ...]",
    object: "a concrete type",
    Any: "a concrete type",
    complex: "two float fields",
}
_SUPPORTED = (
    "str, int, float, bool, bytes, UUID, Decimal, date, datetime, an Enum, a dataclass,"
    " X | None, list[T], tuple[T, ...], dict[str, T] or Literal of strings"
)
_EMPTY_FACTORIES = (list, dict, tuple)


def record_of(cls: type, outer: tuple[type, ...] = ()) -> RecordOf:
    """Read a dataclass; raises `UnsupportedType`, or `SchemaRefused` where it contains itself."""
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        message = f"{cls!r} is no dataclass: declare the job's args with @dataclass(frozen=True)"
        raise UnsupportedType(message)
    if cls in outer:
        message = f"{cls.__name__} contains itself: a recursive job can kill its decoder; use ids"
        raise SchemaRefused(message)
    _check_class_name(cls)
    hints = _hints(cls)
    fields = dataclasses.fields(cls)
    _check_constructor(cls, {field.name for field in fields})
    return RecordOf(cls, tuple(_field(cls, field, hints, outer) for field in fields))


def _hints(cls: type) -> dict[str, object]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        message = f"{cls.__name__}: a field's type cannot be resolved ({error}); declare it at the"
        message += " module's top level and import it outside TYPE_CHECKING"
        raise UnsupportedType(message) from error


def _check_class_name(cls: type) -> None:
    if not is_avro_name(cls.__name__):
        message = f"class {cls.__name__}: use ASCII letters, digits and '_' in its name"
        raise UnsupportedType(message)


def _check_constructor(cls: type, names: set[str]) -> None:
    # A decoded job is rebuilt by calling the class with its fields by name, and only with those.
    given = inspect.signature(cls).parameters
    if set(given) == names:
        return
    odd = ", ".join(sorted(set(given) ^ names))
    message = f"{cls.__name__}: {odd} differs between fields and __init__; use no InitVar,"
    message += " init=False or __init__ of your own"
    raise UnsupportedType(message)


def _field(
    cls: type,
    field: dataclasses.Field[object],
    hints: dict[str, object],
    outer: tuple[type, ...],
) -> FieldOf:
    where = f"{cls.__name__}.{field.name}"
    if not is_avro_name(field.name):
        message = f"{where}: use ASCII letters, digits and '_' in a field's name"
        raise UnsupportedType(message)
    shape = _shape(hints[field.name], where, (*outer, cls))
    default, factory = field.default, None
    # Only empty containers: another factory (a new id, the time) has no value a schema can hold.
    if field.default_factory in _EMPTY_FACTORIES:
        default = typing.cast("Any", field.default_factory)()
    elif field.default_factory is not dataclasses.MISSING:
        factory = field.default_factory
    if isinstance(shape, OptionalOf) and default is not dataclasses.MISSING:
        shape = OptionalOf(shape.item, null_first=default is None)
    return FieldOf(field.name, shape, default, factory, is_secret(hints[field.name]))


def _shape(hint: object, where: str, outer: tuple[type, ...]) -> Shape:
    if isinstance(hint, typing.NewType):
        return _shape(hint.__supertype__, where, outer)
    if isinstance(hint, typing.Hashable) and hint in _PLAIN:
        return _PLAIN[hint]
    if get_origin(hint) is not None:
        return _generic(hint, where, outer)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum(hint, where)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return record_of(hint, outer)
    return _refuse(hint, where)


def _generic(hint: object, where: str, outer: tuple[type, ...]) -> Shape:
    match get_origin(hint), get_args(hint):
        case origin, (base, *extras) if origin is Annotated:
            spec = next((extra for extra in extras if isinstance(extra, DecimalSpec)), None)
            return spec if spec and base is Decimal else _shape(base, where, outer)
        case origin, values if origin is Literal:
            if all(type(value) is str for value in values):
                return LiteralOf(values)
        case origin, options if origin in {Union, types.UnionType}:
            rest = [option for option in options if option is not types.NoneType]
            if len(rest) == 1:
                return OptionalOf(_shape(rest[0], where, outer))
        case origin, (item,) if origin is list:
            return ListOf(_shape(item, where, outer))
        case origin, (item, end) if origin is tuple and end is Ellipsis:
            return TupleOf(_shape(item, where, outer))
        case origin, (key, value) if origin is dict and key is str:
            return MapOf(_shape(value, where, outer))
    return _refuse(hint, where)


def _enum(cls: type[Enum], where: str) -> EnumOf:
    _check_class_name(cls)
    odd = [name for name in cls.__members__ if not is_avro_name(name)]
    if odd or issubclass(cls, Flag) or not cls.__members__:
        message = f"{where}: {cls.__name__} is no plain Enum with ASCII member names; use one"
        raise UnsupportedType(message)
    return EnumOf(cls)


def _refuse(hint: object, where: str) -> NoReturn:
    shown = hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
    known = _INSTEAD.get(hint) if isinstance(hint, typing.Hashable) else None
    message = f"{where}: type {shown} is not supported; use {known or _SUPPORTED}"
    raise UnsupportedType(message)
