"""An `Enum`: one of its members, by name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, Flag

from jobstream_schemas.errors import DecodeError, EncodeError, JsonMisfit, UnsupportedType
from jobstream_schemas.primitives import long_bytes, read_long
from jobstream_schemas.shapes.key_text import KeyField, quoted
from jobstream_schemas.shapes.kind import FieldPlace, TypeKind
from jobstream_schemas.shapes.shape import Decoder, Encoder, Names, Shape, Step, Teller
from jobstream_schemas.shapes.written import WriterSchema, refuse, same_name
from jobstream_schemas.wire_names import check_class_name, is_avro_name


@dataclass(frozen=True, slots=True)
class EnumOf(Shape):
    """A member of that class."""

    cls: type[Enum]

    def avro(self, names: Names) -> object:
        if names.has(self.cls):
            return self.cls.__name__
        symbols = [member.name for member in self.cls]
        return {"type": "enum", "name": self.cls.__name__, "symbols": symbols}

    def avro_default(self, value: Enum) -> str:
        return value.name

    def encoder(self) -> Encoder:
        cls = self.cls
        known = {member.name: long_bytes(at) for at, member in enumerate(cls)}

        def encode(value: object) -> bytes:
            if isinstance(value, cls):
                return known[value.name]
            raise EncodeError.of(value, f"a member of {cls.__name__}")

        return encode

    def decoder(self) -> Decoder:
        members = tuple(self.cls)

        def decode(data: bytes, at: int) -> tuple[Enum, int]:
            index, end = read_long(data, at)
            if not 0 <= index < len(members):
                message = f"symbol {index} of {len(members)} at byte {at}"
                raise DecodeError(message)
            return members[index], end

        return decode

    def resolve(self, writer: object, path: str, _: WriterSchema) -> Step:
        same_name(writer, ("enum",), self.cls, path)
        members = {member.name: member for member in self.cls}

        def read(symbol: str) -> object:
            if symbol not in members:
                refuse(path, f"is not a member of {self.cls.__name__}", f"{symbol} ")
            return members[symbol]

        return read

    def teller(self) -> Teller:
        return lambda member: member.name.encode()

    def key_field(self) -> KeyField:
        return KeyField("", lambda member: quoted(member.name))

    def from_json(self, value: object, path: str) -> Enum:
        members = {member.name: member for member in self.cls}
        if isinstance(value, str) and value in members:
            return members[value]
        raise JsonMisfit.of(value, path, self.json_words())

    def json_words(self) -> str:
        return "one of " + ", ".join(member.name for member in self.cls)

    def sample(self) -> str:
        return next(iter(self.cls)).name


def _of(hint: object, place: FieldPlace) -> EnumOf | None:
    if not (isinstance(hint, type) and issubclass(hint, Enum)):
        return None
    check_class_name(hint)
    odd = [name for name in hint.__members__ if not is_avro_name(name)]
    if odd or issubclass(hint, Flag) or not hint.__members__:
        message = (
            f"{place.field}: {hint.__name__} is not a plain Enum with ASCII member names; use one"
        )
        raise UnsupportedType(message)
    return EnumOf(hint)


KIND = TypeKind("an Enum", _of)
