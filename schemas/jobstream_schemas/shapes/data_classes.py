"""A dataclass, model or struct: an Avro record. It is the args, or a value within them."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, dataclass
from difflib import get_close_matches
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from jobstream_schemas.avro_json import Json, named_types
from jobstream_schemas.errors import (
    JsonMisfit,
    SchemaMismatch,
    SchemaRefused,
    UnsupportedType,
    text_of,
)
from jobstream_schemas.record_classes import WORDS, checks_of, is_record_class, refusal
from jobstream_schemas.shapes.fields import FieldOf, fields_of
from jobstream_schemas.shapes.json_parts import JsonParts, json_object
from jobstream_schemas.shapes.key_text import SECRET, KeyField, never
from jobstream_schemas.shapes.kind import FieldPlace, TypeKind
from jobstream_schemas.shapes.record_bytes import decoder_of, encoder_of, refused
from jobstream_schemas.shapes.shape import Decoder, Encoder, Names, Shape, Step, Teller
from jobstream_schemas.shapes.written import WriterSchema, refuse, same_name
from jobstream_schemas.wire_names import avro_name, check_class_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from jobstream_schemas.secret import Finder


@dataclass(frozen=True, slots=True)
class RecordOf(Shape):
    """The class and its fields, in their order."""

    cls: type
    fields: tuple[FieldOf, ...]

    def avro(self, names: Names) -> object:
        if names.has(self.cls):
            return self.cls.__name__
        fields = [field.avro(self.cls, names) for field in self.fields]
        return {"type": "record", "name": self.cls.__name__, "fields": fields}

    def args_schema(self, job_type: str) -> Json:
        """As the args of that job type: the record `Args`, in a namespace of its own."""
        namespace, names = avro_name(job_type), Names(self.cls)
        fields = [field.avro(self.cls, names) for field in self.fields]
        return {"type": "record", "name": "Args", "namespace": namespace, "fields": fields}

    def classes(self) -> Iterable[type]:
        """The class itself, and every class that values within it may have."""
        names = Names(self.cls)
        for field in self.fields:
            field.shape.avro(names)
        return names.classes.values()

    def avro_default(self, value: object) -> object:
        parts = {f.name: f.shape.avro_default(getattr(value, f.name)) for f in self.fields}
        return MISSING if MISSING in parts.values() else parts

    def encoder(self) -> Encoder:
        encode = encoder_of(self.cls, [(field.name, field.encoder()) for field in self.fields])
        secret = frozenset(field.name for field in self.fields if field.secret)
        check = checks_of(self.cls, secret | self._secret_within())
        if check is None:
            return encode

        def encode_checked(value: object) -> bytes:
            encoded = encode(value)  # Types first: the class may take more than what is declared.
            check(value)
            return encoded

        return encode_checked

    def _secret_within(self) -> frozenset[str]:
        return frozenset(f.name for f in self.fields if f.shape.secrets() is not None)

    def decoder(self) -> Decoder:
        decoders = [field.shape.decoder() for field in self.fields]
        return decoder_of(self.cls, decoders, self._maker())

    def _maker(self) -> Callable[..., object]:
        """The class, if its fields can be given in their order; else a call that names them."""
        cls, names = self.cls, [field.name for field in self.fields]
        given = inspect.signature(cls).parameters
        is_ordered = all(each.kind is each.POSITIONAL_OR_KEYWORD for each in given.values())
        if is_ordered and list(given) == names:
            return cls
        return lambda *values: cls(**dict(zip(names, values, strict=True)))

    def resolver(self, writer: Json) -> Step:
        """From args as the library reads them by another (linted, plain) schema to the class.

        Records are dicts. The class's own checks run. Raises `SchemaMismatch` naming the fields:
        all of them, at once, where no value of the writer's can be read; else the first, when a
        value comes that cannot. It reads no bytes, so what fails here is never damage.
        """
        return self.resolve(writer, "args", WriterSchema(named_types(writer), lambda cls: cls))

    def judge(self, writer: Json) -> Step:
        """As `resolver`, but it runs no code of the class, and what it returns means nothing."""
        return self.resolve(writer, "args", WriterSchema(named_types(writer), lambda _: _nothing))

    def resolve(self, writer: object, path: str, schema: WriterSchema) -> Step:
        fields = same_name(writer, ("record", "error"), self.cls, path)["fields"]
        written = {field["name"]: field["type"] for field in fields}
        steps: list[tuple[str, Step | None]] = []
        misfits: list[str] = []
        for field in self.fields:
            at = f"{path}.{field.name}"
            try:
                if field.name in written:
                    step = field.shape.step(written[field.name], at, schema)
                    steps.append((field.name, step))
                elif not field.has_default:
                    refuse(at, "was not written, and has no default")
            except SchemaMismatch as error:
                misfits.append(error.names)
        if misfits:
            words = "; ".join(misfits)
            raise SchemaMismatch(words, words)
        return _reading(self.cls, steps, path, schema.maker(self.cls))

    def teller(self) -> Teller:
        steps = [
            (field.name, tell, field.default_told(tell))
            for field in sorted(self.fields, key=lambda field: field.name)
            for tell in (field.shape.teller(),)
        ]

        def tell_fields(value: object) -> object:
            parts = []
            for name, tell, default in steps:
                said = tell(getattr(value, name))
                if default is None or default() != said:
                    parts.append((name, said))
            return tuple(parts)

        return tell_fields

    def value_digest(self) -> Callable[[Any], bytes]:
        """The function from args, checked by their encoder before, to 16 bytes of BLAKE2b.

        Bytes of one value differ between versions of the class, its digest does not: it covers
        fields by name, numbers by their size, texts as UTF-8 and maps by key, without the names of
        classes, and without fields that hold their default; their factories are called for that.
        Two different values may have one digest (`1` and `1.0`, say); equal ones of one class never
        have two, unless a default is made anew each time, such as an id or the time.
        """
        tell = self.teller()
        return lambda args: blake2b(repr(tell(args)).encode(), digest_size=16).digest()

    def key_fields(self) -> dict[str, KeyField]:
        """What each field is in a key, by name."""
        return {
            field.name: never(SECRET) if field.secret else field.shape.key_field()
            for field in self.fields
        }

    def secrets(self) -> Finder | None:
        found = [(field.name, field.secrets()) for field in self.fields]
        steps = [(name, find) for name, find in found if find is not None]
        if not steps:
            return None

        def find_all(value: object) -> Iterator[object]:
            for name, find in steps:
                yield from find(getattr(value, name))

        return find_all

    def from_json(self, value: object, path: str) -> Any:  # noqa: ANN401 - its class
        given, parts = json_object(value, path), JsonParts()
        known = {field.name: field for field in self.fields}
        for name in given:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                fix = f"did you mean {near[0]}?" if near else f"its fields are {', '.join(known)}"
                parts.wrong.append(f"{path} has no field {name!r}; {fix}")
        values = {}
        for name, field in known.items():
            if name in given:
                values[name] = parts.part(field.from_json, given[name], f"{path}.{name}")
            elif not field.has_default:
                wanted = field.shape.json_words()
                parts.wrong.append(f"{path}.{name} is missing and has no default; give {wanted}")
        parts.end()
        try:
            return self.cls(**values)
        except Exception as error:  # the class's own checks, which may raise anything
            if self.secrets() is not None:
                message = f"{path}: its own checks refuse the values"
                raise JsonMisfit(message) from None
            is_plain = isinstance(error, TypeError | ValueError)
            kind = "" if is_plain else f"{type(error).__name__}: "
            message = f"{path}: {kind}{refusal(error)}"
            raise JsonMisfit(message) from error

    def json_words(self) -> str:
        return f"an object with the fields of {self.cls.__name__}"

    def sample(self) -> dict[str, Any]:
        return {field.name: field.shape.sample() for field in self.fields}


def _nothing(**_: object) -> None:
    """Stands in for a class: takes any values and keeps none."""


def _reading(
    cls: type, steps: list[tuple[str, Step | None]], path: str, make: Callable[..., object]
) -> Step:
    def read(record: dict[str, Any]) -> object:
        values = {}
        name = ""
        try:
            for name, step in steps:  # the name is needed where it fails
                value = record[name]
                values[name] = value if step is None else step(value)
        except SchemaMismatch:
            raise
        except Exception as error:
            names = f"{path}.{name}: {type(error).__name__}"
            message = f"{names}: {text_of(error)}"
            raise SchemaMismatch(message, names) from error
        try:
            return make(**values)
        except Exception as error:
            raise refused(cls, path, error) from error

    return read


def record_of(cls: type, place: FieldPlace) -> RecordOf:
    """Read a record class; raises `UnsupportedType`, or `SchemaRefused` if it contains itself."""
    if not is_record_class(cls):
        message = f"{cls!r} can't hold a job's args: give {WORDS}"
        raise UnsupportedType(message)
    if cls in place.outer:
        message = f"{cls.__name__} contains itself: a recursive job can kill its decoder; use ids"
        raise SchemaRefused(message)
    check_class_name(cls)
    return RecordOf(cls, fields_of(cls, place))


def _of(hint: object, place: FieldPlace) -> RecordOf | None:
    if isinstance(hint, type) and is_record_class(hint):
        return record_of(hint, place)
    return None


KIND = TypeKind("a dataclass", _of)
