"""Read job events of one writer schema: `meta` at once, `args` when asked.

A worker needs `meta` of every record, also of types it does not run and of versions it has never
seen, and `args` only of the jobs it starts. So a reader is built from the writer's schema alone,
and the class comes in as an argument when `args` are read. What only another version's events
need is in `resolving`.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, TypeVar

from jobstream_schemas.errors import DecodeError, SchemaMismatch, caused, text_of
from jobstream_schemas.framing import SINGLE_OBJECT_PREFIX_BYTES, schema_fingerprint
from jobstream_schemas.lint import parsed_schema
from jobstream_schemas.meta import Decoded, read_meta
from jobstream_schemas.resolving import WriterArgs, halves, meta_reader
from jobstream_schemas.secret import marks
from jobstream_schemas.wire_names import JOB_TYPE_PROPERTY

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_schemas.avro_json import Json
    from jobstream_schemas.resolving import ArgsRead, ArgsTarget

VALUE_BYTES_MAX: Final = 1_048_576
_NOTHING_YET: Final = blake2b(digest_size=8)
"""Copied for each digest: to make one anew costs twice as much."""

T = TypeVar("T")


class Reader:
    """Reads values of one writer schema; built once per schema, safe to share between threads."""

    __slots__ = (
        "_args", "_other_meta", "_plans", "fingerprint", "job_type", "misfit", "schema", "secret",
    )  # fmt: skip

    def __init__(self, schema: Any) -> None:  # noqa: ANN401 - the next line looks at it
        """Lint and prepare; raises `SchemaRefused` for danger or for no `{meta, args}` record."""
        parsed = parsed_schema(schema)
        meta, args = halves(parsed)
        self.schema: Json = schema
        self.fingerprint = schema_fingerprint(schema)
        self.job_type = str(schema.get(JOB_TYPE_PROPERTY) or parsed["name"])
        self.secret = marks(schema)
        """(record, field) of what is secret: its writer's marks, and in a catalogue those of every
        known schema of the job type."""
        self._other_meta = meta_reader(meta)
        """Reads `meta` of another layout; None for the packaged one."""
        self._args = WriterArgs(self.job_type, self.fingerprint, args)
        self._plans: dict[ArgsTarget[Any], ArgsRead] = {}
        self.misfit: Callable[[ArgsTarget[Any]], Callable[[bytes, int], str]] = self._args.misfit
        """See `WriterArgs.misfit`."""

    @property
    def has_packaged_meta(self) -> bool:
        """Whether its events have `meta` as this version writes it."""
        return self._other_meta is None

    def decode(
        self, value: bytes, at: int = SINGLE_OBJECT_PREFIX_BYTES, max_bytes: int = VALUE_BYTES_MAX
    ) -> Decoded:
        """Read `meta` of a value whose record begins at `at`, after the prefix.

        Raises `DecodeError` for more than `max_bytes`, bytes that are not such a record, or a bad
        id. Proves nothing about `args`, not even that they are there.
        """
        if len(value) > max_bytes:
            message = f"value has {len(value)} bytes, the cap is {max_bytes}"
            raise DecodeError(message)
        try:
            if self._other_meta is None:
                return read_meta(value, at, self.fingerprint)
            meta, at = self._other_meta(value, at)
            return Decoded(*meta, at, self.fingerprint)
        except DecodeError:
            raise
        except Exception as error:
            raise caused(_undecodable(self.job_type, "meta", error), error) from error

    def args(self, value: bytes, at: int, codec: ArgsTarget[T]) -> T:
        """Read `args`, which begin at `at`, into the codec's class, resolving writer to reader.

        The class's own checks run. Raises `DecodeError` for bytes that are not args of this writer
        schema, and for bytes left over: they are damaged. Raises `SchemaMismatch`, which names the
        field, for sound ones that the class cannot hold: another version of it wrote a field,
        symbol or type that it does not know, a logical type of another meaning, or what its own
        checks refuse now. If a field is marked secret in the class or in a schema, the message
        holds names of fields and no value.
        """
        mismatch = False
        read = self._plans.get(codec) or self._plans.setdefault(codec, self._args.into(codec))
        try:
            try:
                args, end = read(value, at)
            except SchemaMismatch:
                if read is not codec.decode_args:
                    raise
                # A Literal's values and the class's checks are in no fingerprint, so another
                # version may have taken it. Once more, in two steps: they tell damage apart, and
                # name the field.
                args, end = self._args.in_two_steps(codec)(value, at)
        except Exception as error:
            if codec.secrets is None and not self.secret:
                if isinstance(error, DecodeError):
                    raise
                raise caused(_undecodable(self.job_type, "args", error), error) from error
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


def args_digest(value: bytes, at: int) -> bytes:
    """8 bytes of BLAKE2b over the encoded args: equal args of one schema have equal digests."""
    digest = _NOTHING_YET.copy()
    digest.update(value[at:])
    return digest.digest()


def _undecodable(job_type: str, half: str, error: Exception) -> DecodeError:
    told = f"{type(error).__name__}: {text_of(error)}"
    return DecodeError(f"{job_type}: {half} cannot be read: {told}")
