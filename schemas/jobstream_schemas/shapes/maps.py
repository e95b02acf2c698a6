"""`dict[str, T]`: an Avro map."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, get_args, get_origin

from jobstream_schemas.errors import EncodeError, shown
from jobstream_schemas.primitives import long_bytes, read_text
from jobstream_schemas.shapes.exact import other_class
from jobstream_schemas.shapes.json_parts import JsonParts, json_object
from jobstream_schemas.shapes.kind import FieldPlace, TypeKind
from jobstream_schemas.shapes.leaf import made
from jobstream_schemas.shapes.sequences import decoder_of_items
from jobstream_schemas.shapes.shape import Decoder, Encoder, Names, Shape, Step, Teller
from jobstream_schemas.shapes.texts import encode_text
from jobstream_schemas.shapes.written import WriterSchema, part_of

if TYPE_CHECKING:
    from jobstream_schemas.secret import Finder


@dataclass(frozen=True, slots=True)
class MapOf(Shape):
    """A dict with texts as keys, and values of one type."""

    value: Shape

    def avro(self, names: Names) -> object:
        return {"type": "map", "values": self.value.avro(names)}

    def avro_default(self, value: dict[str, Any]) -> object:
        parts = {key: self.value.avro_default(each) for key, each in value.items()}
        return MISSING if MISSING in parts.values() else parts

    def encoder(self) -> Encoder:
        item = self.value.encoder()

        def encode(value: object) -> bytes:
            if type(value) is not dict:
                raise other_class(value, dict)
            if not value:
                return b"\x00"
            parts = [long_bytes(len(value))]
            for key, each in value.items():
                try:
                    parts.append(encode_text(key) + item(each))
                except EncodeError as error:
                    error.climb(f"[{shown(key)}]")
                    raise
            parts.append(b"\x00")
            return b"".join(parts)

        return encode

    def decoder(self) -> Decoder:
        item = self.value.decoder()

        def pair(data: bytes, at: int) -> tuple[tuple[str, Any], int]:
            key, at = read_text(data, at)
            value, at = item(data, at)
            return (key, value), at

        return made(dict, decoder_of_items(pair))

    def resolve(self, writer: object, path: str, schema: WriterSchema) -> Step | None:
        item = self.value.step(part_of(writer, "map", path), f"{path}{{}}", schema)
        if item is None:
            return None
        return lambda value: {key: item(each) for key, each in value.items()}

    def teller(self) -> Teller:
        tell = self.value.teller()
        return lambda value: tuple(
            sorted((key.encode(), tell(each)) for key, each in value.items())
        )

    def secrets(self) -> Finder | None:
        find = self.value.secrets()
        return find and (lambda value: chain.from_iterable(map(find, value.values())))

    def from_json(self, value: object, path: str) -> dict[str, Any]:
        parts = JsonParts()
        entries = {
            name: parts.part(self.value.from_json, each, f"{path}[{name!r}]")
            for name, each in json_object(value, path).items()
        }
        parts.end()
        return entries

    def json_words(self) -> str:
        return f"an object, of {self.value.json_words()} by name"

    def sample(self) -> dict[str, Any]:
        return {"…": self.value.sample()}


def _of(hint: object, place: FieldPlace) -> MapOf | None:
    match get_origin(hint), get_args(hint):
        case origin, (key, value) if origin is dict and key is str:
            return MapOf(place.shape(value))
    return None


KIND = TypeKind("dict[str, T]", _of)
