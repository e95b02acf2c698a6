"""Read what other code wrote: by the writer's schema first, then into the class."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from fastavro import schemaless_reader
from fastavro.schema import to_parsing_canonical_form as canonical

from jobstream_schemas.avro_json import Json, plain
from jobstream_schemas.errors import SchemaMismatch, SchemaRefused
from jobstream_schemas.lint import parsed_schema
from jobstream_schemas.meanings import meaning_changes
from jobstream_schemas.meta import Meta, bad_id
from jobstream_schemas.packaged import packaged
from jobstream_schemas.shapes.written import refusing
from jobstream_schemas.wire_names import is_id

if TYPE_CHECKING:
    from jobstream_schemas.secret import Finder
    from jobstream_schemas.shapes.data_classes import RecordOf

ArgsRead: TypeAlias = Callable[[bytes, int], tuple[Any, int]]
MetaRead: TypeAlias = Callable[[bytes, int], tuple[Meta, int]]

T = TypeVar("T")


class ArgsTarget(Protocol[T]):
    """What `args` are read into."""

    shape: RecordOf
    plain_args: Json
    """The args record without logical types, as the library parsed it."""
    declared_args: Json
    """The args record as derived, with logical types."""
    decode_args: Callable[[bytes, int], tuple[T, int]]
    """From bytes of this very schema to the class, and where they end."""
    secrets: Finder | None
    """From args to their secret values; None where the class marks no field."""


class WriterArgs:
    """The args record of one writer schema."""

    def __init__(self, job_type: str, fingerprint: bytes, declared: Json) -> None:
        self._of = f"{job_type}: this code cannot read what schema {fingerprint.hex()} wrote"
        self._declared = declared
        self._plain = plain(declared)

    def into(self, codec: ArgsTarget[Any]) -> ArgsRead:
        """How to read args into this class: by hand where writer and reader are the same."""
        if canonical(self._plain) == canonical(codec.plain_args) and not self._changes(codec):
            return codec.decode_args
        return self.in_two_steps(codec)

    def in_two_steps(self, codec: ArgsTarget[Any]) -> ArgsRead:
        """By the writer's schema, then into the class."""
        return self._read_by(codec, codec.shape.resolver)

    def misfit(self, codec: ArgsTarget[Any]) -> Callable[[bytes, int], str]:
        """The function that tells why the class cannot hold the args at that byte of a value.

        By the names of fields, without any value; "" if it can, and for damaged bytes. It runs no
        code of the class, so it does not know what the class's own checks refuse.
        """
        read = self._read_by(codec, codec.shape.judge)

        def tell(value: bytes, at: int) -> str:
            try:
                read(value, at)
            except SchemaMismatch as error:
                return error.names
            except Exception:  # noqa: BLE001 - whatever the library makes of damage
                return ""
            return ""

        return tell

    def _changes(self, codec: ArgsTarget[Any]) -> str:
        changes = meaning_changes(self._declared, codec.declared_args, "args")
        return "; ".join(f"{path}: {change}" for path, change in changes)

    def _read_by(
        self, codec: ArgsTarget[Any], resolver: Callable[[Json], Callable[[Any], Any]]
    ) -> ArgsRead:
        """What the writer's schema alone cannot read is damaged; the rest may be a mismatch."""
        writer, of = self._plain, self._of
        changes = self._changes(codec)
        try:
            build = refusing(changes) if changes else resolver(writer)
        except SchemaMismatch as error:
            build = refusing(error.names)

        def read(value: bytes, at: int) -> tuple[Any, int]:
            stream = BytesIO(value)
            stream.seek(at)
            record = schemaless_reader(stream, writer, None, return_named_type=True)
            end = stream.tell()
            if end != len(value):
                return None, end
            try:
                return build(record), end
            except SchemaMismatch as error:
                message = f"{of}: {error}"
                raise SchemaMismatch(message, f"{of}: {error.names}") from error

        return read


def meta_reader(meta: Json) -> MetaRead | None:
    """How to read `meta` of another layout; None for the packaged one."""
    ours, writer = plain(_packaged_meta()), plain(meta)
    if canonical(meta) == canonical(ours):
        return None

    def read(value: bytes, at: int) -> tuple[Meta, int]:
        stream = BytesIO(value)
        stream.seek(at)
        record: Any = schemaless_reader(stream, writer, ours)
        found = Meta(**record)
        if not is_id(found.id):
            raise bad_id(found.id)
        return found, stream.tell()

    return read


def halves(parsed: Json) -> tuple[Json, Json]:
    """`meta` and `args` of a job's schema; raises `SchemaRefused` for any other schema."""
    fields = parsed.get("fields", [])
    if [field["name"] for field in fields] != ["meta", "args"]:
        message = f"{parsed.get('name')}: a job's schema is a record of exactly meta and args"
        raise SchemaRefused(message)
    meta, args = fields[0]["type"], fields[1]["type"]
    if not all(isinstance(half, dict) and half["type"] == "record" for half in (meta, args)):
        message = f"{parsed['name']}: meta and args must both be records, each defined in place"
        raise SchemaRefused(message)
    ours = _packaged_meta()
    written = {field["name"] for field in meta["fields"]}
    needed = [field["name"] for field in ours["fields"] if "default" not in field]
    missing = [name for name in needed if name not in written]
    odd = meaning_changes(meta, ours, "meta")
    if missing or odd:
        words = ", ".join([f"meta.{name} is missing" for name in missing] + [str(o) for o in odd])
        message = f"{parsed['name']}: meta cannot be read: {words}"
        raise SchemaRefused(message)
    return meta, args


def _packaged_meta() -> Json:
    return parsed_schema(packaged("meta"))
