"""Build the function that checks and encodes one shape; runs no user code but attribute access.

The Avro library does not validate (it writes a bool where a long belongs), and validating apart
costs a second pass, so each encoder checks and writes at once. Errors carry the path to the value.

What is read back is of the declared class, so whatever a subclass adds would be lost in silence.
Dataclasses and containers must be of exactly the declared class. Of a scalar's subclasses (a
`StrEnum`, `numpy.float64`, another library's datetime) those that hold the plain value and nothing
else are written as it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from itertools import takewhile
from struct import Struct
from typing import Any, NoReturn, TypeAlias, TypeVar, assert_never
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

Encoder: TypeAlias = Callable[[object], bytes]
T = TypeVar("T")

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
    error.climb(step)
    raise error


def _plain(value: object, kind: type[T], make: Callable[[Any], T], wanted: str) -> T:
    """The plain value that an instance of a subclass holds, where it holds no more than that."""
    if not isinstance(value, kind):
        raise EncodeError.of(value, wanted)
    if not isinstance(value, Enum):  # a member's own attributes say which member it is
        below = takewhile(lambda cls: cls is not kind, type(value).__mro__)
        if getattr(value, "__dict__", None) or any(vars(cls).get("__slots__") for cls in below):
            raise _richer(value, kind.__name__)
    return make(value)


def _richer(value: object, kind: str) -> EncodeError:
    # Not the value: in a class that nobody declared, nobody could mark what is secret.
    message = (
        f"got an instance of {type(value).__qualname__}; pass an instance of exactly {kind}:"
        " what a subclass adds would be lost"
    )
    return EncodeError(message)


def _string(value: object) -> bytes:
    if type(value) is str:
        return text_bytes(value)
    return text_bytes(_plain(value, str, str.__str__, "a str"))


def _long(value: object) -> bytes:
    if type(value) is not int:
        if isinstance(value, bool):
            raise EncodeError.of(value, "an int")
        value = _plain(value, int, int.__int__, "an int")
    if LONG_MIN <= value <= LONG_MAX:
        return long_bytes(value)
    raise EncodeError.of(value, "an int of at most 64 bits, or declare it as str or Decimal")


def _double(value: object) -> bytes:
    if type(value) is float:
        return _pack_double(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return _pack_double(_exact(_plain(value, int, int.__int__, "a float")))
    return _pack_double(_plain(value, float, float.__float__, "a float"))


def _exact(value: int) -> float:
    """An int as a float, if a float can hold it: above 2**53 not every one can be."""
    try:
        number = float(value)
    except OverflowError:
        raise EncodeError.of(value, "a number that a 64-bit float can hold") from None
    if number == value:
        return number
    raise EncodeError.of(value, "an int that a 64-bit float can hold exactly, or declare it as int")


def _boolean(value: object) -> bytes:
    if value is True:
        return b"\x01"
    if value is False:
        return b"\x00"
    raise EncodeError.of(value, "a bool")


def _bytes(value: object) -> bytes:
    if type(value) is not bytes:
        value = _plain(value, bytes, bytes.__bytes__, "bytes")
    return long_bytes(len(value)) + value


def _uuid(value: object) -> bytes:
    if type(value) is not UUID:
        value = _plain(value, UUID, lambda each: UUID(int=each.int), "a uuid.UUID")
    return text_bytes(str(value))


def _date(value: object) -> bytes:
    if type(value) is not date:
        # A datetime is a date to Python; its time would be lost.
        if isinstance(value, datetime):
            raise EncodeError.of(value, "a date without a time")
        value = _plain(value, date, _day, "a date without a time")
    return long_bytes(days_of(value))


def _day(value: date) -> date:
    return date(value.year, value.month, value.day)


def _datetime(value: object) -> bytes:
    wanted = "an aware datetime, such as datetime.now(UTC)"
    if type(value) is not datetime:
        value = _plain(value, datetime, _instant, wanted)
    if value.utcoffset() is None:
        raise EncodeError.of(value, wanted)
    return long_bytes(micros_of(value))


def _instant(value: datetime) -> datetime:
    """The same instant as Python's own class; some have nanoseconds, and would lose them."""
    day = value.year, value.month, value.day
    time = value.hour, value.minute, value.second, value.microsecond
    plain = datetime(*day, *time, tzinfo=value.tzinfo, fold=value.fold)
    if plain != value:
        raise _richer(value, "datetime")
    return plain


def _decimal(spec: DecimalSpec) -> Encoder:
    def encode(value: object) -> bytes:
        if type(value) is not Decimal:
            value = _plain(value, Decimal, Decimal, "a Decimal")
        return _bytes(decimal_bytes(value, spec))

    return encode


def _literal(values: tuple[str, ...]) -> Encoder:
    known = {value: text_bytes(value) for value in values}
    wanted = f"one of {', '.join(map(repr, values))}"

    def encode(value: object) -> bytes:
        text = value if type(value) is str else _plain(value, str, str.__str__, wanted)
        if text in known:
            return known[text]
        raise EncodeError.of(value, wanted)

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
        if type(value) is not kind:
            raise _other(value, kind)
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
        if type(value) is not dict:
            raise _other(value, dict)
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
        if type(value) is not cls:
            raise _other(value, cls)
        parts = []
        name = ""
        try:
            for name, step in steps:  # the name is needed where it fails
                parts.append(step(getattr(value, name)))  # likewise
        except EncodeError as error:
            error.climb(f".{name}")
            for later, step in steps[len(parts) + 1 :]:  # Nobody mends fields one by one.
                try:
                    step(getattr(value, later))
                except EncodeError as other:
                    other.climb(f".{later}")
                    error.join(other)
            raise
        return b"".join(parts)

    return encode


def _other(value: object, cls: type) -> EncodeError:
    """The error for a value that is not of exactly this class."""
    if isinstance(value, cls):
        return _richer(value, cls.__name__)
    if is_dataclass(value):  # its fields may be secret, and this class does not know them
        found, declared = type(value).__qualname__, cls.__name__
        if found == declared:  # often one module that was loaded twice, as itself and as __main__
            found, declared = f"{type(value).__module__}.{found}", f"{cls.__module__}.{declared}"
            if found == declared:
                declared += " as it was declared: this one is of another load of its module"
        return EncodeError(f"got an instance of {found}; pass an instance of {declared}")
    wanted = f"an instance of {cls.__name__}" if is_dataclass(cls) else f"a {cls.__name__}"
    return EncodeError.of(value, wanted)


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
