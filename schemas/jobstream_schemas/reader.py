"""Read job events of one writer schema: `meta` at once, `args` when asked; settles no meaning.

A worker needs `meta` of every record, also of types it does not run and of versions it has never
seen, and `args` only of the jobs it starts. So a reader is built from the writer's schema alone,
and the class comes in as an argument when `args` are read.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar

from fastavro import schemaless_reader
from fastavro.schema import to_parsing_canonical_form

from jobstream_schemas.avro_json import Json, plain
from jobstream_schemas.errors import DecodeError, SchemaMismatch, SchemaRefused, text_of
from jobstream_schemas.framing import SINGLE_OBJECT_PREFIX_BYTES, schema_fingerprint
from jobstream_schemas.lint import parsed_schema
from jobstream_schemas.meanings import meaning_changes
from jobstream_schemas.meta import Meta, MetaFields, bad_id, read_meta, read_usual_meta
from jobstream_schemas.packaged import packaged
from jobstream_schemas.secret import marks
from jobstream_schemas.shapes.written import refusing
from jobstream_schemas.wire_names import JOB_TYPE_PROPERTY, is_id

if TYPE_CHECKING:
    from jobstream_schemas.secret import Finder
    from jobstream_schemas.shapes.data_classes import RecordOf

VALUE_BYTES_MAX = 1_048_576
DIGEST_BYTES = 8

# A named tuple's own constructor is a Python function, twice as slow.
_new = tuple.__new__

ArgsRead: TypeAlias = Callable[[bytes, int], tuple[Any, int]]

T = TypeVar("T")


class Decoded(NamedTuple):
    """A record's `meta`, and where its `args` begin; the args are not looked at yet.

    Times are milliseconds since the epoch. `fingerprint` is the writer schema's.
    """

    id: str
    enqueued_at: int
    source: str
    order_key: str | None
    unique_key: str | None
    expires_in_ms: int | None
    parent_id: str | None
    correlation_id: str | None
    args_bytes_at: int
    fingerprint: bytes


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


class Reader:
    """Reads values of one writer schema; built once per schema, safe to share between threads."""

    __slots__ = (
        "_args", "_declared", "_meta", "_packaged", "_plans", "fingerprint", "job_type", "schema",
        "secret",
    )  # fmt: skip

    def __init__(self, schema: Json) -> None:
        """Lint and prepare; raises `SchemaRefused` for danger or for no `{meta, args}` record."""
        parsed = parsed_schema(schema)
        meta, args = _halves(parsed)
        self.schema = schema
        self.fingerprint = schema_fingerprint(schema)
        self.job_type = str(schema.get(JOB_TYPE_PROPERTY) or parsed["name"])
        self.secret = marks(schema)
        """(record, field) of what is secret: its writer's marks, and in a catalogue those of every
        known schema of the job type."""
        self._declared = args
        self._args = plain(args)
        self._packaged = plain(_packaged_meta())
        self._meta = None if _is_packaged_layout(meta) else plain(meta)
        self._plans: dict[ArgsTarget[Any], ArgsRead] = {}

    def decode(
        self, value: bytes, at: int = SINGLE_OBJECT_PREFIX_BYTES, max_bytes: int = VALUE_BYTES_MAX
    ) -> Decoded:
        """Read `meta` of a value whose record begins at `at`, after the prefix.

        Raises `DecodeError` for more than `max_bytes`, bytes that are no such record, or a bad id.
        Proves nothing about `args`, not even that they are there.
        """
        if len(value) > max_bytes:
            message = f"value has {len(value)} bytes, the cap is {max_bytes}"
            raise DecodeError(message)
        try:
            if self._meta is None:
                usual = read_usual_meta(value) if at == SINGLE_OBJECT_PREFIX_BYTES else None
                fields, at = usual or read_meta(value, at)
            else:
                fields, at = self._foreign(self._meta, value, at)
        except DecodeError:
            raise
        except Exception as error:
            raise _undecodable(self.job_type, "meta", error) from error
        return _new(Decoded, (*fields, at, self.fingerprint))

    def args(self, value: bytes, at: int, codec: ArgsTarget[T]) -> T:
        """Read `args`, which begin at `at`, into the codec's class, resolving writer to reader.

        The class's own checks run. Raises `DecodeError` for bytes that are no args of this writer
        schema, and for bytes left over: they are damaged. Raises `SchemaMismatch`, which names the
        field, for sound ones that the class cannot hold: another version of it wrote a field,
        symbol or type that it does not know, a logical type of another meaning, or what its own
        checks refuse now. If a field is marked secret in the class or in a schema, the message
        holds names of fields and no value.
        """
        mismatch = False
        read = self._plans.get(codec) or self._plan(codec)
        try:
            try:
                args, end = read(value, at)
            except SchemaMismatch:
                if read is not codec.decode_args:
                    raise
                # A Literal's values and the class's checks are in no fingerprint, so another
                # version may have taken it. Once more, in two steps: they tell damage apart, and
                # name the field.
                args, end = self._resolving(codec.shape.resolver(self._args))(value, at)
        except Exception as error:
            if codec.secrets is None and not self.secret:
                if isinstance(error, DecodeError):
                    raise
                raise _undecodable(self.job_type, "args", error) from error
            if mismatch := isinstance(error, SchemaMismatch):
                told = f"{error.names}; values are left out: some fields are secret"
            else:
                told = f"{self.job_type}: args cannot be read: {type(error).__name__}"
                told += "; details are left out: some fields are secret"
        else:
            if end == len(value):
                return args  # type: ignore[no-any-return]  # one dict holds the plans of all classes
            told = f"{self.job_type}: args end at byte {end}, the value at {len(value)}"
        # Outside of the handler, so that the other's text is not chained to it.
        raise SchemaMismatch(told, told) if mismatch else DecodeError(told)

    def misfit(self, codec: ArgsTarget[Any]) -> Callable[[bytes, int], str]:
        """The function that tells why the class cannot hold the args at that byte of a value.

        By the names of fields, without any value; "" if it can, and for damaged bytes. It runs no
        code of the class, so it does not know what the class's own checks refuse.
        """
        read = self._in_two_steps(codec, codec.shape.judge)

        def tell(value: bytes, at: int) -> str:
            try:
                read(value, at)
            except SchemaMismatch as error:
                return error.names
            except Exception:  # noqa: BLE001 - whatever the library makes of damage
                return ""
            return ""

        return tell

    def _plan(self, codec: ArgsTarget[Any]) -> ArgsRead:
        """How to read args into this class: by hand where writer and reader are the same."""
        same = to_parsing_canonical_form(self._args) == to_parsing_canonical_form(codec.plain_args)
        if same and not meaning_changes(self._declared, codec.declared_args, "args"):
            self._plans[codec] = codec.decode_args
        else:
            self._plans[codec] = self._in_two_steps(codec, codec.shape.resolver)
        return self._plans[codec]

    def _in_two_steps(
        self, codec: ArgsTarget[Any], resolver: Callable[[Json], Callable[[Any], Any]]
    ) -> ArgsRead:
        changes = meaning_changes(self._declared, codec.declared_args, "args")
        if changes:
            words = "; ".join(f"{path}: {change}" for path, change in changes)
            return self._resolving(refusing(words))
        try:
            return self._resolving(resolver(self._args))
        except SchemaMismatch as error:
            return self._resolving(refusing(error.names))

    def _resolving(self, build: Callable[[Any], Any]) -> ArgsRead:
        """Read by the writer's schema alone first: only what that cannot read is damaged."""
        writer = self._args
        schema = self.fingerprint.hex()
        of = f"{self.job_type}: this code cannot read what schema {schema} wrote"

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

    def _foreign(self, writer: Json, value: bytes, at: int) -> tuple[MetaFields, int]:
        stream = BytesIO(value)
        stream.seek(at)
        record: Any = schemaless_reader(stream, writer, self._packaged)
        meta = Meta(**record)
        if not is_id(meta.id):
            raise bad_id(meta.id)
        return meta, stream.tell()


def args_digest(value: bytes, at: int) -> bytes:
    """8 bytes of BLAKE2b over the encoded args: equal args of one schema have equal digests."""
    return blake2b(value[at:], digest_size=DIGEST_BYTES).digest()


def _packaged_meta() -> Json:
    return parsed_schema(packaged("meta"))


def _is_packaged_layout(meta: Json) -> bool:
    return to_parsing_canonical_form(meta) == to_parsing_canonical_form(_packaged_meta())


def _halves(parsed: Json) -> tuple[Json, Json]:
    fields = parsed.get("fields", [])
    if [field["name"] for field in fields] != ["meta", "args"]:
        message = f"{parsed.get('name')}: a job's schema is a record of exactly meta and args"
        raise SchemaRefused(message)
    meta, args = fields[0]["type"], fields[1]["type"]
    if not all(isinstance(half, dict) and half["type"] == "record" for half in (meta, args)):
        message = f"{parsed['name']}: meta and args must both be records, each defined in place"
        raise SchemaRefused(message)
    ours: Json = _packaged_meta()
    written = {field["name"] for field in meta["fields"]}
    missing = [
        field["name"]
        for field in ours["fields"]
        if "default" not in field and field["name"] not in written
    ]
    odd = meaning_changes(meta, ours, "meta")
    if missing or odd:
        words = ", ".join([f"meta.{name} is missing" for name in missing] + [str(o) for o in odd])
        message = f"{parsed['name']}: meta cannot be read: {words}"
        raise SchemaRefused(message)
    return meta, args


def _undecodable(job_type: str, half: str, error: Exception) -> DecodeError:
    told = f"{type(error).__name__}: {text_of(error)}"
    return DecodeError(f"{job_type}: {half} cannot be read: {told}")
