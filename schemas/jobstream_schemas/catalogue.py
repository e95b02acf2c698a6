"""Writer schemas by fingerprint, and the readers made of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobstream_schemas.errors import SchemaConflict, SchemaRefused, UnknownSchema, caused
from jobstream_schemas.framing import SINGLE_OBJECT_PREFIX_BYTES, frame_of, split_frame
from jobstream_schemas.job_schema import JobSchema
from jobstream_schemas.lint import parsed_schema
from jobstream_schemas.meanings import meanings
from jobstream_schemas.reader import Reader

if TYPE_CHECKING:
    from jobstream_schemas.meta import Decoded
    from jobstream_schemas.secret import Marks

SCHEMAS_MAX = 10_000
SCHEMA_BYTES_MAX = 1_048_576


class Catalogue:
    """Every writer schema known to this process; at most 10,000.

    `register` belongs to one thread at a time; looking up is safe from any.
    """

    __slots__ = ("_framed", "_meanings", "_readers", "_secret")

    def __init__(self) -> None:
        """Begin empty."""
        self._readers: dict[bytes, Reader] = {}
        self._framed: dict[bytes, Reader] = {}
        self._meanings: dict[bytes, object] = {}
        self._secret: dict[str, Marks] = {}
        """By job type: what any known schema of it marks."""

    def register(self, schema: JobSchema | Mapping[str, object] | str) -> Reader:
        """Add a writer schema (also as JSON) and return its reader; again is harmless.

        The fingerprint is always computed here. Raises `SchemaRefused` for a schema that
        is dangerous, invalid or not a job's, and `SchemaConflict` if its fingerprint is known with
        another meaning or for another job type, which 64 bits may not see.
        """
        reader = Reader(_loaded(schema))
        meaning = (reader.job_type, meanings(parsed_schema(reader.schema), reader.job_type))
        known = self._meanings.get(reader.fingerprint)
        if known is None and len(self._readers) >= SCHEMAS_MAX:
            message = f"{reader.job_type}: {SCHEMAS_MAX} schemas are known already; remove some"
            raise SchemaRefused(message)
        if known is not None and known != meaning:
            other = self._readers[reader.fingerprint].job_type
            message = (
                f"{reader.job_type}: fingerprint {reader.fingerprint.hex()} is taken by {other}"
                " with other logical types or another name; rename the job or the changed field"
            )
            raise SchemaConflict(message)
        self._meanings[reader.fingerprint] = meaning
        # By its whole prefix too: one look-up for nearly every value instead of split and look-up.
        self._framed.setdefault(frame_of(reader.fingerprint), reader)
        found = self._readers.setdefault(reader.fingerprint, reader)
        self._hide(found, reader.secret)
        return found

    def get(self, fingerprint: bytes) -> Reader | None:
        """The reader of a writer schema, or None if it is not known."""
        return self._readers.get(fingerprint)

    def job_type(self, fingerprint: bytes) -> str:
        """The job type a schema was written for; raises `UnknownSchema`."""
        return self._known(fingerprint).job_type

    def readers(self) -> list[Reader]:
        """The reader of every known schema."""
        return list(self._readers.values())

    def job_types(self) -> set[str]:
        """Every job type that a known schema was written for."""
        return {reader.job_type for reader in self._readers.values()}

    def decode(self, value: bytes) -> Decoded:
        """Read `meta` of any known schema's value.

        Raises `UnknownSchema`, which may heal, or `DecodeError`, which cannot. Proves nothing
        about `args`: `read` gives their reader, too.
        """
        return self.read(value)[1]

    def read(self, value: bytes) -> tuple[Reader, Decoded]:
        """The reader of a value, and its `meta` as `decode` reads it."""
        reader = self._framed.get(value[:SINGLE_OBJECT_PREFIX_BYTES])
        if reader is not None:
            return reader, reader.decode(value)
        reference, at = split_frame(value)
        reader = self._known(reference)
        return reader, reader.decode(value, at)

    def _hide(self, reader: Reader, marks: Marks) -> None:
        """A mark once given holds for events of every schema of its type, older ones too."""
        known = self._secret.get(reader.job_type, frozenset())
        reader.secret = hidden = known | marks
        if hidden != known:
            self._secret[reader.job_type] = hidden
            for each in self._readers.values():
                if each.job_type == reader.job_type:
                    each.secret = hidden

    def _known(self, reference: bytes) -> Reader:
        reader = self._readers.get(reference)
        if reader is None:
            message = f"the schema that wrote it, {reference.hex()}, is not known here (yet)"
            raise UnknownSchema(message, reference)
        return reader


def _loaded(schema: JobSchema | Mapping[str, object] | str) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(schema, JobSchema):
        return schema.schema
    if isinstance(schema, Mapping):
        return dict(schema)
    if len(schema) > SCHEMA_BYTES_MAX:
        message = f"schema has {len(schema)} characters, the cap is {SCHEMA_BYTES_MAX}"
        raise SchemaRefused(message)
    try:
        return json.loads(schema)
    except (ValueError, RecursionError) as error:
        message = f"schema is not JSON: {error}"
        raise caused(SchemaRefused(message), error) from error
