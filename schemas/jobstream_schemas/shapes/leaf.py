"""A type without parts or parameters: the functions that make up its verbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

from jobstream_schemas.errors import JsonMisfit
from jobstream_schemas.shapes.key_text import PARTS, KeyField, never
from jobstream_schemas.shapes.kind import TypeKind
from jobstream_schemas.shapes.shape import Decoder, Encoder, Names, Shape, Step, Teller
from jobstream_schemas.shapes.written import WriterSchema, promoted, then

_NEVER = never(PARTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf(Shape):
    """One Python type that has one Avro type."""

    hint: type
    primitive: str
    logical: str = ""
    encode: Encoder
    decode: Decoder
    """Of the primitive."""
    make: Step | None = None
    """From the primitive to the type, where they are not the same."""
    tell: Teller
    in_key: KeyField = _NEVER
    default: Callable[[Any], object] | None = None
    read_json: Callable[[Any], object]
    """Raises `ValueError` or `ArithmeticError` for a value that does not fit."""
    words: str
    example: object

    def kind(self) -> TypeKind:
        """For the list of kinds."""
        return TypeKind(self.hint.__name__, lambda hint, _: self if hint is self.hint else None)

    def avro(self, _: Names) -> object:
        if not self.logical:
            return self.primitive
        return {"type": self.primitive, "logicalType": self.logical}

    def avro_default(self, value: object) -> object:
        return self.default(value) if self.default else value

    def encoder(self) -> Encoder:
        return self.encode

    def decoder(self) -> Decoder:
        return made(self.make, self.decode) if self.make else self.decode

    def resolve(self, writer: object, path: str, _: WriterSchema) -> Step | None:
        step = promoted(writer, self.primitive, path)
        return then(step, self.make) if self.make else step

    def teller(self) -> Teller:
        return self.tell

    def key_field(self) -> KeyField:
        return self.in_key

    def from_json(self, value: object, path: str) -> object:
        try:
            return self.read_json(value)
        except (ValueError, ArithmeticError):
            raise JsonMisfit.of(value, path, self.words) from None

    def json_words(self) -> str:
        return self.words

    def sample(self) -> object:
        return self.example


def made(make: Callable[[Any], object], inner: Decoder) -> Decoder:
    """The decoder that makes something of what another one reads."""

    def decode(data: bytes, at: int) -> tuple[object, int]:
        value, at = inner(data, at)
        return make(value), at

    return decode


def from_text(read: Callable[[str], object]) -> Callable[[object], object]:
    """The function that reads a JSON text, and nothing else."""

    def read_json(value: object) -> object:
        if isinstance(value, str):
            return read(value)
        raise ValueError

    return read_json


def number_told(value: Any) -> object:  # noqa: ANN401 - a float, an int or a Decimal
    """A whole number as an int, whatever its type; others by their shortest text."""
    if not isfinite(value):
        return str(float(value))
    ratio = value.as_integer_ratio()
    return ratio[0] if ratio[1] == 1 else ratio
