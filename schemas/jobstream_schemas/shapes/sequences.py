"""`list[T]` and `tuple[T, ...]`: an Avro array."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias, get_args, get_origin

from jobstream_schemas.errors import EncodeError, JsonMisfit
from jobstream_schemas.primitives import long_bytes, read_long
from jobstream_schemas.shapes.exact import other_class
from jobstream_schemas.shapes.json_parts import JsonParts
from jobstream_schemas.shapes.kind import FieldPlace, TypeKind
from jobstream_schemas.shapes.leaf import made
from jobstream_schemas.shapes.shape import Decoder, Encoder, Names, Shape, Step, Teller
from jobstream_schemas.shapes.written import WriterSchema, part_of

if TYPE_CHECKING:
    from jobstream_schemas.secret import Finder

Items: TypeAlias = list[Any] | tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class SequenceOf(Shape):
    """A list or a tuple of any length, of one type."""

    cls: type[Items]
    item: Shape

    def avro(self, names: Names) -> object:
        return {"type": "array", "items": self.item.avro(names)}

    def avro_default(self, value: Items) -> object:
        items = [self.item.avro_default(each) for each in value]
        return MISSING if MISSING in items else items

    def encoder(self) -> Encoder:
        cls, item = self.cls, self.item.encoder()

        def encode(value: object) -> bytes:
            if type(value) is not cls:
                raise other_class(value, cls)
            if not value:
                return b"\x00"
            parts = [long_bytes(len(value))]
            try:
                parts.extend(map(item, value))
            except EncodeError as error:
                error.climb(f"[{len(parts) - 1}]")
                raise
            parts.append(b"\x00")
            return b"".join(parts)

        return encode

    def decoder(self) -> Decoder:
        items = decoder_of_items(self.item.decoder())
        return items if self.cls is list else made(self.cls, items)

    def resolve(self, writer: object, path: str, schema: WriterSchema) -> Step:
        item = self.item.step(part_of(writer, "array", path), f"{path}[]", schema)
        return (lambda value: self.cls(map(item, value))) if item else self.cls

    def teller(self) -> Teller:
        item = self.item.teller()
        return lambda values: tuple(map(item, values))

    def secrets(self) -> Finder | None:
        find = self.item.secrets()
        return find and (lambda values: chain.from_iterable(map(find, values)))

    def from_json(self, value: object, path: str) -> Items:
        if not isinstance(value, list):
            raise JsonMisfit.of(value, path, "a list")
        parts = JsonParts()
        items = [
            parts.part(self.item.from_json, each, f"{path}[{index}]")
            for index, each in enumerate(value)
        ]
        parts.end()
        return self.cls(items)

    def json_words(self) -> str:
        return f"a list, of {self.item.json_words()} each"

    def sample(self) -> list[Any]:
        return [self.item.sample()]


def decoder_of_items(item: Decoder) -> Decoder:
    """The decoder of an array or a map, which are alike on the wire, to a list."""

    def decode(data: bytes, at: int) -> tuple[list[Any], int]:
        items = []
        count, at = read_long(data, at)
        while count:
            if count < 0:
                # A negative count announces the block's bytes, for readers that skip it.
                _, at = read_long(data, at)
            for _ in range(abs(count)):
                value, at = item(data, at)
                items.append(value)
            count, at = read_long(data, at)
        return items, at

    return decode


def _of(hint: object, place: FieldPlace) -> SequenceOf | None:
    match get_origin(hint), get_args(hint):
        case origin, (item,) if origin is list:
            return SequenceOf(list, place.shape(item))
        case origin, (item, end) if origin is tuple and end is Ellipsis:
            return SequenceOf(tuple, place.shape(item))
    return None


KIND = TypeKind("list[T], tuple[T, ...]", _of)
