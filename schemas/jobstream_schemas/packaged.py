"""The Avro files shipped in this package, and records of them.

A file is read once, when it is first asked for. So that none is read at import, the fingerprints of
the schemas stand in the code; a test holds them to the files.
"""

from __future__ import annotations

import json
import pkgutil  # A tenth of the time that importlib.resources takes to import.
from functools import cache, cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from fastavro import schemaless_reader, schemaless_writer

from jobstream_schemas.avro_json import Json, plain
from jobstream_schemas.errors import DecodeError, EncodeError, UnknownSchema
from jobstream_schemas.framing import frame_of, split_frame

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PackagedName: TypeAlias = Literal[
    "control", "meta", "mirror", "row", "schedule", "schedule_order", "schedule_place"
]


@cache
def packaged(name: PackagedName) -> Json:
    """The schema in `avro/<name>.avsc`; shared, so a caller must not change it."""
    text = pkgutil.get_data("jobstream_schemas", f"avro/{name}.avsc")
    schema: Json = json.loads(text or b"")
    return schema


def packaged_before(name: PackagedName, since: Collection[str]) -> Json:
    """That schema in an earlier form, which had none of the fields `since`."""
    schema = packaged(name)
    return schema | {"fields": [each for each in schema["fields"] if each["name"] not in since]}


class PackagedRecord:
    """Records of one such schema, framed, to bytes and back; errors call each `what`."""

    def __init__(
        self,
        name: PackagedName,
        what: str,
        fingerprint: bytes,
        bytes_max: int,
        earlier: Mapping[bytes, Collection[str]] | None = None,
    ) -> None:
        """`earlier`: fingerprints of forms that are read, too, and the fields that came since."""
        self._name: PackagedName = name
        self._earlier = earlier or {}
        self._what = what
        self._frame = frame_of(fingerprint)
        self._bytes_max = bytes_max

    @cached_property
    def _plain(self) -> Json:
        return plain(packaged(self._name))

    def _plain_of(self, value: bytes) -> Json:
        """The schema that a framed value is of, without logical types; raises UnknownSchema."""
        if value.startswith(self._frame):
            return self._plain
        reference, _ = split_frame(value)
        if (since := self._earlier.get(reference)) is not None:
            return plain(packaged_before(self._name, since))
        message = f"{self._what} of schema {reference.hex()}, known is {self._frame[2:].hex()}"
        raise UnknownSchema(message, reference)

    def encode(self, record: object, fields: dict[str, Any]) -> bytes:
        """The framed value of its fields; raises `EncodeError` for one that has no Avro form."""
        stream = BytesIO()
        stream.write(self._frame)
        try:
            schemaless_writer(stream, self._plain, fields, strict=True)
        except Exception as error:
            wanted = f"a valid {self._what} ({type(error).__name__}: {error})"
            raise EncodeError.of(record, wanted) from error
        return stream.getvalue()

    def decode(self, value: bytes) -> Any:  # noqa: ANN401 - a dict of the record's fields
        """The fields in a framed value; raises `DecodeError`, also as `UnknownSchema`.

        Those that an earlier form had not are not among them.
        """
        schema = self._plain_of(value)
        if len(value) > self._bytes_max:
            message = f"{self._what} has {len(value)} bytes, the cap is {self._bytes_max}"
            raise DecodeError(message)
        stream = BytesIO(value)
        stream.seek(len(self._frame))
        try:
            fields = schemaless_reader(stream, schema, None)
        except Exception as error:
            message = f"{self._what} cannot be read: {type(error).__name__}: {error}"
            raise DecodeError(message) from error
        if (left := len(value) - stream.tell()) != 0:
            message = f"{self._what}: {left} bytes are left over"
            raise DecodeError(message)
        return fields
