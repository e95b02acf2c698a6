"""The Avro files shipped in this package, and records of them; holds no job's schema.

A file is read once, when it is first asked for. So that none is read at import, the fingerprints of
the schemas stand in the code; a test holds them to the files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from io import BytesIO
from typing import Any, Literal, TypeAlias

from fastavro import schemaless_reader, schemaless_writer

from jobstream_schemas.avro_json import Json, plain
from jobstream_schemas.errors import DecodeError, EncodeError, UnknownSchema
from jobstream_schemas.framing import frame_of, split_frame

PackagedName: TypeAlias = Literal["control", "meta", "mirror", "row"]


@cache
def packaged(name: PackagedName) -> Json:
    """The schema in `avro/<name>.avsc`; shared, so a caller must not change it."""
    text = resources.files("jobstream_schemas").joinpath("avro", f"{name}.avsc").read_text("utf-8")
    schema: Json = json.loads(text)
    return schema


@cache
def _plain(name: PackagedName) -> Json:
    return plain(packaged(name))


@dataclass(frozen=True, slots=True)
class PackagedRecord:
    """Records of one such schema, framed, to bytes and back; errors call each `what`."""

    name: PackagedName
    what: str
    fingerprint: bytes
    bytes_max: int

    def encode(self, record: object, fields: dict[str, Any]) -> bytes:
        """The framed value of its fields; raises `EncodeError` for one that has no Avro form."""
        stream = BytesIO()
        stream.write(frame_of(self.fingerprint))
        try:
            schemaless_writer(stream, _plain(self.name), fields, strict=True)
        except Exception as error:
            wanted = f"a valid {self.what} ({type(error).__name__}: {error})"
            raise EncodeError.of(record, wanted) from error
        return stream.getvalue()

    def decode(self, value: bytes) -> Any:  # noqa: ANN401 - a dict of the record's fields
        """The fields in a framed value; raises `DecodeError`, also as `UnknownSchema`."""
        frame = frame_of(self.fingerprint)
        if not value.startswith(frame):
            reference, _ = split_frame(value)
            message = f"{self.what} of schema {reference.hex()}, known is {self.fingerprint.hex()}"
            raise UnknownSchema(message, reference)
        if len(value) > self.bytes_max:
            message = f"{self.what} has {len(value)} bytes, the cap is {self.bytes_max}"
            raise DecodeError(message)
        stream = BytesIO(value)
        stream.seek(len(frame))
        try:
            fields = schemaless_reader(stream, _plain(self.name), None)
        except Exception as error:
            message = f"{self.what} cannot be read: {type(error).__name__}: {error}"
            raise DecodeError(message) from error
        if (left := len(value) - stream.tell()) != 0:
            message = f"{self.what}: {left} bytes are left over"
            raise DecodeError(message)
        return fields
