"""One job type's bytes: dataclass to value and back, on the hot path.

The writer side checks every value against its declared type while it encodes. The reader side
here reads values of exactly this schema; those of other versions go through `catalogue`.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from jobstream_schemas.avro_json import plain
from jobstream_schemas.errors import EncodeError, UnknownSchema
from jobstream_schemas.framing import frame_of, split_frame
from jobstream_schemas.job_schema import job_schema_of
from jobstream_schemas.lint import parsed_schema
from jobstream_schemas.meta import Decoded, Meta, encode_meta
from jobstream_schemas.reader import VALUE_BYTES_MAX, Reader
from jobstream_schemas.shapes.declared import record_of

T = TypeVar("T")


class JobCodec(Generic[T]):
    """Encodes and decodes jobs of one type with args of dataclass `cls`.

    Built once per job type (milliseconds), then safe to share between threads. Raises
    `UnsupportedType` or `SchemaRefused` if the class cannot be a job's args.
    """

    __slots__ = (
        "_encode_args", "_frame", "_max_bytes", "cls", "declared_args", "decode_args",
        "plain_args", "portable", "reader", "schema", "secrets", "shape", "value_digest",
    )  # fmt: skip

    def __init__(self, cls: type[T], name: str, *, max_bytes: int = VALUE_BYTES_MAX) -> None:
        """Derive the schema; `max_bytes` caps what `decode` looks at (1 MiB)."""
        self.shape = shape = record_of(cls)
        self.cls = cls
        self.schema = job_schema_of(name, shape.args_schema(name))
        self.declared_args = parsed_schema(self.schema.schema)["fields"][1]["type"]
        self.plain_args = plain(self.declared_args)
        self.portable = all("<" not in each.__qualname__ for each in shape.classes())
        """Whether another process can be handed args: no class of them is local to a function."""
        self.decode_args = shape.decoder()
        self.value_digest = shape.value_digest()
        """From args that `encode_args` took to 16 bytes that outlive a change of the class."""
        self.secrets = shape.secrets()
        """From args to their secret values; None where no field is marked."""
        self.reader = Reader(self.schema.schema)
        self._frame = frame_of(self.schema.fingerprint)
        self._encode_args = shape.encoder()
        self._max_bytes = max_bytes

    def encode(self, meta: Meta, args: T) -> bytes:
        """The value to publish; raises `EncodeError` naming each `class.field`, value and fix.

        Checks no size: the limit is the client's. An instance of a subclass
        of `cls`, or of a dataclass within, is refused: its own fields would be lost.
        """
        try:
            return self._frame + encode_meta(meta) + self._encode_args(args)
        except EncodeError as error:
            if not error.path.startswith("meta"):
                error.climb(self.cls.__name__)
            raise

    def event(self, meta: Meta, encoded_args: bytes) -> bytes:
        """As `encode`, of args that `encode_args` wrote; raises `EncodeError`."""
        return self._frame + encode_meta(meta) + encoded_args

    def encode_args(self, args: T) -> bytes:
        """The args alone, as `encode` writes them; raises `EncodeError`."""
        try:
            return self._encode_args(args)
        except EncodeError as error:
            error.climb(self.cls.__name__)
            raise

    def decode(self, value: bytes) -> Decoded:
        """Read `meta`; raises `DecodeError`, as `UnknownSchema` where another schema wrote it."""
        if value.startswith(self._frame):
            return self.reader.decode(value, len(self._frame), self._max_bytes)
        reference, _ = split_frame(value)
        message = (
            f"{self.schema.job_type}: written with schema {reference.hex()}, this codec reads"
            f" {self.schema.fingerprint.hex()}; use Catalogue.decode"
        )
        raise UnknownSchema(message, reference)

    def args(self, value: bytes, decoded: Decoded | None = None) -> T:
        """Read `args` of a value of this very schema; raises `DecodeError`.

        Pass what `decode` returned, or the value alone.
        """
        decoded = decoded or self.decode(value)
        args: T = self.reader.args(value, decoded.args_bytes_at, self)
        return args
