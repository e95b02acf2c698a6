"""`X | None`: a union of null and a type."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Self, Union, get_args, get_origin

from jobstream_schemas.errors import DecodeError
from jobstream_schemas.shapes.key_text import KeyField
from jobstream_schemas.shapes.kind import FieldPlace, TypeKind
from jobstream_schemas.shapes.shape import Decoder, Encoder, Names, Shape, Step, Teller

if TYPE_CHECKING:
    from jobstream_schemas.secret import Finder
    from jobstream_schemas.shapes.written import WriterSchema


@dataclass(frozen=True, slots=True)
class OptionalOf(Shape):
    """A value or None. Avro wants the branch of the field's default first."""

    takes_none: ClassVar[bool] = True

    item: Shape
    null_first: bool = True

    def with_default(self, default: object) -> Self:
        return replace(self, null_first=default is None)

    def avro(self, names: Names) -> list[object]:
        inner = self.item.avro(names)
        return ["null", inner] if self.null_first else [inner, "null"]

    def avro_default(self, value: object) -> object:
        return None if value is None else self.item.avro_default(value)

    def encoder(self) -> Encoder:
        item = self.item.encoder()
        null, other = (b"\x00", b"\x02") if self.null_first else (b"\x02", b"\x00")

        def encode(value: object) -> bytes:
            return null if value is None else other + item(value)

        return encode

    def decoder(self) -> Decoder:
        item = self.item.decoder()
        null, other = (0, 2) if self.null_first else (2, 0)

        def decode(data: bytes, at: int) -> tuple[Any, int]:
            branch = data[at]
            if branch == other:
                return item(data, at + 1)
            if branch != null:
                message = f"union branch {branch} at byte {at}"
                raise DecodeError(message)
            return None, at + 1

        return decode

    def resolve(self, writer: object, path: str, schema: WriterSchema) -> Step | None:
        return None if writer == "null" else self.item.step(writer, path, schema)

    def teller(self) -> Teller:
        tell = self.item.teller()
        return lambda value: None if value is None else tell(value)

    def secrets(self) -> Finder | None:
        find = self.item.secrets()
        return find and (lambda value: iter(()) if value is None else find(value))

    def key_field(self) -> KeyField:
        problem, text = self.item.key_field()
        return KeyField(problem, lambda value: "null" if value is None else text(value))

    def from_json(self, value: object, path: str) -> Any:  # noqa: ANN401 - of its type
        return None if value is None else self.item.from_json(value, path)

    def json_words(self) -> str:
        return f"{self.item.json_words()}, or null"

    def sample(self) -> Any:  # noqa: ANN401 - any JSON
        return self.item.sample()


def _of(hint: object, place: FieldPlace) -> OptionalOf | None:
    if get_origin(hint) not in {Union, UnionType}:
        return None
    rest = [option for option in get_args(hint) if option is not NoneType]
    return OptionalOf(place.shape(rest[0])) if len(rest) == 1 else None


KIND = TypeKind("X | None", _of)
