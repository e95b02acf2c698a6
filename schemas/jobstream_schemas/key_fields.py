"""Which fields of a job's args can be part of a key, and the text of their values in one.

The text of a value is JSON and the same in every process and version: an enum member by its name, a
`datetime` as its instant in UTC, a `Decimal` without trailing zeros. Equal values have equal texts.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from json.encoder import encode_basestring as _quoted
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from jobstream_schemas.shapes.decimals import DecimalOf
from jobstream_schemas.shapes.enums import EnumOf
from jobstream_schemas.shapes.leaf import Leaf
from jobstream_schemas.shapes.literals import LiteralOf
from jobstream_schemas.shapes.optionals import OptionalOf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from jobstream_schemas.shapes.data_classes import RecordOf
    from jobstream_schemas.shapes.shape import Shape

_FLOAT: Final = "is a float, which is rarely equal to another; declare it as str, int or Decimal"
_PARTS: Final = (
    "has parts or bytes; a key is made of str, int, bool, UUID, date, datetime, Decimal, Enum and "
    "Literal fields"
)
_SECRET: Final = "is secret, and keys are shown; give an id that stands for it"  # noqa: S105 - a message


class KeyField(NamedTuple):
    """A field of the args: why it can't be part of a key ("" if it can), and its text in one."""

    problem: str
    text: Callable[[Any], str]


def key_fields(shape: RecordOf) -> dict[str, KeyField]:
    """The fields of the args by name."""
    return {f.name: KeyField(_SECRET, repr) if f.secret else _of(f.shape) for f in shape.fields}


def _of(shape: Shape) -> KeyField:
    if isinstance(shape, OptionalOf):
        problem, text = _of(shape.item)
        return KeyField(problem, lambda value: "null" if value is None else text(value))
    if isinstance(shape, EnumOf):
        return KeyField("", lambda value: _quoted(value.name))
    if isinstance(shape, LiteralOf):
        return KeyField("", _quoted)
    if isinstance(shape, DecimalOf):
        return KeyField("", _decimal)
    if isinstance(shape, Leaf):
        if shape.hint is float:
            return KeyField(_FLOAT, repr)
        if (found := _LEAVES.get(shape.hint)) is not None:
            return KeyField("", found)
    return KeyField(_PARTS, repr)


def _decimal(value: Decimal) -> str:
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return '"0"' if text in {"-0", "0"} else f'"{text}"'


def _instant(value: datetime) -> str:
    return f'"{value.astimezone(UTC).isoformat()}"'


_LEAVES: Final[Mapping[type, Callable[[Any], str]]] = {
    str: _quoted,
    int: int.__repr__,
    bool: lambda value: "true" if value else "false",
    UUID: lambda value: f'"{value}"',
    date: lambda value: f'"{value.isoformat()}"',
    datetime: _instant,
}
