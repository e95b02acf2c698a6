"""Shapes: what a job's dataclass looks like to this package, as plain data; computes nothing.

A shape is read from the class once (`declared`), then turned into a schema (`derive`), an
encoder (`encoder`) and a reader (`decoder`, `resolver`), so they can never see different types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass
from enum import Enum
from typing import Literal, TypeAlias

from jobstream_schemas.errors import UnsupportedType

ScalarKind: TypeAlias = Literal["string", "long", "double", "boolean", "bytes"]
TextKind: TypeAlias = Literal["uuid", "date", "datetime"]

PRECISION_MAX = 1_000


@dataclass(frozen=True, slots=True)
class DecimalSpec:
    """Digits of a decimal field: `Annotated[Decimal, DecimalSpec(12, 2)]`; 38 and 9 if unsaid.

    `precision` counts all digits (1 to 1,000), `scale` those after the point. A value comes back
    with the places after the point that it had, up to `scale`.
    """

    precision: int = 38
    scale: int = 9

    def __post_init__(self) -> None:
        """Refuse digits that no Avro decimal can have."""
        if not (1 <= self.precision <= PRECISION_MAX and 0 <= self.scale <= self.precision):
            message = (
                f"DecimalSpec({self.precision}, {self.scale}): precision must be 1 to"
                f" {PRECISION_MAX} and scale 0 to precision"
            )
            raise UnsupportedType(message)


@dataclass(frozen=True, slots=True)
class Secret:
    """Marks a field whose value is never to be shown: `password: Annotated[str, Secret]`.

    Its value is left out of log lines, error texts, dead letters' headers and what the command
    line prints. The event itself holds it in clear: who may read the topic may read it.
    """


@dataclass(frozen=True, slots=True)
class Scalar:
    """A type that Avro has itself."""

    kind: ScalarKind


@dataclass(frozen=True, slots=True)
class Logical:
    """A UUID, a date or an instant: an Avro primitive with a logical type.

    An instant comes back in UTC, whatever zone it had: the same instant.
    """

    kind: TextKind


@dataclass(frozen=True, slots=True)
class EnumOf:
    """One of an enum's members, by name."""

    cls: type[Enum]


@dataclass(frozen=True, slots=True)
class LiteralOf:
    """One of a few fixed strings."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of one type."""

    item: Shape


@dataclass(frozen=True, slots=True)
class TupleOf:
    """A tuple of any length, of one type."""

    item: Shape


@dataclass(frozen=True, slots=True)
class MapOf:
    """A dict with string keys and values of one type."""

    value: Shape


@dataclass(frozen=True, slots=True)
class OptionalOf:
    """A value or None; Avro wants the branch of the field's default first."""

    item: Shape
    null_first: bool = True


@dataclass(frozen=True, slots=True)
class FieldOf:
    """One field of a dataclass; `default` is `MISSING` where it has none or makes it anew."""

    name: str
    shape: Shape
    default: object = MISSING
    factory: Callable[[], object] | None = None
    """Makes its default, where that is no constant."""
    secret: bool = False
    """Its value, and all within it, is never to be shown."""

    @property
    def has_default(self) -> bool:
        """Whether the class can be called without it."""
        return self.default is not MISSING or self.factory is not None


@dataclass(frozen=True, slots=True)
class RecordOf:
    """A dataclass and its fields, in their order."""

    cls: type
    fields: tuple[FieldOf, ...]


Shape: TypeAlias = (
    Scalar | Logical | DecimalSpec | EnumOf | LiteralOf | ListOf | TupleOf | MapOf | OptionalOf
) | RecordOf


def classes_of(shape: Shape) -> Iterator[type]:
    """Every class that a value of this shape has an instance of, the outermost first."""
    match shape:
        case RecordOf(cls, fields):
            yield cls
            for field in fields:
                yield from classes_of(field.shape)
        case EnumOf(cls):
            yield cls
        case ListOf(item) | TupleOf(item) | MapOf(item) | OptionalOf(item):
            yield from classes_of(item)
