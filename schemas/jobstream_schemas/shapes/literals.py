"""A `Literal`: one of a few fixed texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args, get_origin

from jobstream_schemas.errors import EncodeError, JsonMisfit, SchemaMismatch, shown
from jobstream_schemas.primitives import read_text, text_bytes
from jobstream_schemas.shapes.exact import plain_value
from jobstream_schemas.shapes.key_text import KeyField, quoted
from jobstream_schemas.shapes.kind import FieldPlace, TypeKind
from jobstream_schemas.shapes.shape import Decoder, Encoder, Names, Shape, Step, Teller
from jobstream_schemas.shapes.written import WriterSchema, promoted, refuse, then
from jobstream_schemas.wire_names import LITERAL_PROPERTY


@dataclass(frozen=True, slots=True)
class LiteralOf(Shape):
    """One of these texts."""

    values: tuple[str, ...]

    def avro(self, _: Names) -> object:
        return {"type": "string", LITERAL_PROPERTY: list(self.values)}

    def encoder(self) -> Encoder:
        known = {value: text_bytes(value) for value in self.values}
        wanted = f"one of {', '.join(map(repr, self.values))}"

        def encode(value: object) -> bytes:
            text = value if type(value) is str else plain_value(value, str, str.__str__, wanted)
            if text in known:
                return known[text]
            raise EncodeError.of(value, wanted)

        return encode

    def decoder(self) -> Decoder:
        values, none_of = frozenset(self.values), self._none_of()

        def decode(data: bytes, at: int) -> tuple[str, int]:
            value, end = read_text(data, at)
            if value not in values:
                message = f"{value[:80]!r} is {none_of}"
                raise SchemaMismatch(message, f"a text is {none_of}")
            return value, end

        return decode

    def resolve(self, writer: object, path: str, _: WriterSchema) -> Step:
        values, none_of = frozenset(self.values), self._none_of()

        def read(value: str) -> str:
            if value not in values:
                refuse(path, f"is {none_of}", f"{shown(value)} ")
            return value

        return then(promoted(writer, "string", path), read)

    def _none_of(self) -> str:
        return f"none of {', '.join(sorted(map(repr, self.values)))}"

    def teller(self) -> Teller:
        return str.encode

    def key_field(self) -> KeyField:
        return KeyField("", quoted)

    def from_json(self, value: object, path: str) -> str:
        if isinstance(value, str) and value in self.values:
            return value
        raise JsonMisfit.of(value, path, self.json_words())

    def json_words(self) -> str:
        return "one of " + ", ".join(self.values)

    def sample(self) -> str:
        return self.values[0]


def _of(hint: object, _: FieldPlace) -> LiteralOf | None:
    values = get_args(hint) if get_origin(hint) is Literal else (None,)
    return LiteralOf(values) if all(type(value) is str for value in values) else None


KIND = TypeKind("Literal of strings", _of)
