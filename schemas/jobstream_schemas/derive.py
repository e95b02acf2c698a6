"""Turn a job's dataclass into the Avro record of its args; writes no bytes and reads no files."""

from __future__ import annotations

import math
from dataclasses import MISSING
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, TypeAlias, assert_never

from jobstream_schemas.encoder import encoder
from jobstream_schemas.errors import EncodeError, UnsupportedType
from jobstream_schemas.logical_values import days_of, decimal_bytes, micros_of
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
from jobstream_schemas.wire_names import (
    DEFAULT_PROPERTY,
    LITERAL_PROPERTY,
    SECRET_PROPERTY,
    avro_name,
)

Json: TypeAlias = dict[str, Any]

_LOGICAL: dict[str, Json] = {
    "uuid": {"type": "string", "logicalType": "uuid"},
    "date": {"type": "int", "logicalType": "date"},
    "datetime": {"type": "long", "logicalType": "timestamp-micros"},
}


def args_schema(cls: type, *, name: str) -> Json:
    """The Avro record `Args`, in the namespace of job type `name`, for a dataclass.

    Fields keep their order. A field's default becomes Avro's where it is a constant that JSON can
    hold; of others, such as most default factories, a property says that Python makes them. Either
    way the class reads jobs queued before the field was added. Raises `UnsupportedType` naming
    class, field and a type to use instead, and `SchemaRefused` for a class containing itself.
    """
    return args_schema_of(record_of(cls), name=name)


def args_schema_of(record: RecordOf, *, name: str) -> Json:
    """The same for a class that is already read."""
    namespace = avro_name(name)
    names: dict[str, type] = {"Args": record.cls}
    return {
        "type": "record",
        "name": "Args",
        "namespace": namespace,
        "fields": [_field(record, field, names) for field in record.fields],
    }


def _field(record: RecordOf, field: FieldOf, names: dict[str, type]) -> Json:
    schema: Json = {"name": field.name, "type": _schema(field.shape, names)}
    if field.secret:
        schema[SECRET_PROPERTY] = True
    if field.default is MISSING:
        if field.has_default:
            schema[DEFAULT_PROPERTY] = True
        return schema
    try:
        encoder(field.shape)(field.default)
    except EncodeError as error:
        message = f"{record.cls.__name__}.{field.name}: default does not fit its type: {error}"
        raise UnsupportedType(message) from error
    default = _default(field.shape, field.default)
    if default is MISSING:
        schema[DEFAULT_PROPERTY] = True
    else:
        schema["default"] = default
    return schema


def _schema(shape: Shape, names: dict[str, type]) -> object:  # noqa: PLR0911  # one per shape
    match shape:
        case Scalar(kind):
            return kind
        case Logical(kind):
            return dict(_LOGICAL[kind])
        case DecimalSpec(precision, scale):
            decimal = {"logicalType": "decimal", "precision": precision, "scale": scale}
            return {"type": "bytes", **decimal}
        case LiteralOf(values):
            return {"type": "string", LITERAL_PROPERTY: list(values)}
        case ListOf(item) | TupleOf(item):
            return {"type": "array", "items": _schema(item, names)}
        case MapOf(value):
            return {"type": "map", "values": _schema(value, names)}
        case OptionalOf(item, null_first):
            inner = _schema(item, names)
            return ["null", inner] if null_first else [inner, "null"]
        case EnumOf(cls):
            if _defined(cls, names):
                return cls.__name__
            symbols = [member.name for member in cls]
            return {"type": "enum", "name": cls.__name__, "symbols": symbols}
        case RecordOf(cls, fields):
            if _defined(cls, names):
                return cls.__name__
            parts = [_field(shape, field, names) for field in fields]
            return {"type": "record", "name": cls.__name__, "fields": parts}
        case _:
            assert_never(shape)


def _defined(cls: type, names: dict[str, type]) -> bool:
    """Whether the schema defines this class already; notes it if not."""
    known = names.get(cls.__name__)
    if known is None:
        names[cls.__name__] = cls
    elif known is not cls:
        message = (
            f"two classes are called {cls.__name__} in one job ({known.__module__}."
            f"{known.__qualname__}, {cls.__module__}.{cls.__qualname__}): rename one"
            " (the args class itself counts as Args)"
        )
        raise UnsupportedType(message)
    return known is cls


def _default(shape: Shape, value: object) -> object:
    """The value as a JSON default of the Avro 1.12 specification; `MISSING` if it has none."""
    match shape, value:
        case OptionalOf(), None:
            return None
        case OptionalOf(item), _:
            return _default(item, value)
        case RecordOf(_, fields), _:
            parts = {f.name: _default(f.shape, getattr(value, f.name)) for f in fields}
            return MISSING if MISSING in parts.values() else parts
        case ((ListOf(item) | TupleOf(item)), (list() | tuple())):
            items = [_default(item, each) for each in value]
            return MISSING if MISSING in items else items
        case MapOf(item), dict():
            parts = {key: _default(item, each) for key, each in value.items()}
            return MISSING if MISSING in parts.values() else parts
        case _:
            return _scalar_default(shape, value)


def _scalar_default(shape: Shape, value: object) -> object:
    match shape, value:
        case Scalar("double"), (int() | float()):
            return float(value) if math.isfinite(value) else MISSING
        case DecimalSpec(), Decimal():
            return decimal_bytes(value, shape).decode("latin-1")
        case _, Enum() if isinstance(shape, EnumOf):
            return value.name
        case Logical("datetime"), datetime():
            return micros_of(value)
        case Logical("date"), date():
            return days_of(value)
        case Logical("uuid"), _:
            return str(value)
        case _, bytes():
            return value.decode("latin-1")
        case _:
            return value
