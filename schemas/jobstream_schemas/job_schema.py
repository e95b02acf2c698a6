"""The schema of one job type, `{meta, args}`, with its fingerprint."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from jobstream_schemas.avro_json import Json
from jobstream_schemas.framing import schema_fingerprint
from jobstream_schemas.lint import parsed_schema
from jobstream_schemas.packaged import packaged
from jobstream_schemas.shapes.declared import record_of
from jobstream_schemas.wire_names import JOB_TYPE_PROPERTY, avro_name


@dataclass(frozen=True, slots=True)
class JobSchema:
    """A job type's writer schema: `json` is deterministic, `fingerprint` has 8 bytes."""

    job_type: str
    fingerprint: bytes
    json: str
    schema: Json = field(compare=False, repr=False)


def args_schema(cls: type, *, name: str) -> Json:
    """The Avro record `Args`, in the namespace of job type `name`, for a dataclass.

    Fields keep their order. A field's default becomes Avro's where it is a constant that JSON can
    hold; of others, such as most default factories, a property says that Python makes them. Either
    way the class reads jobs queued before the field was added. Raises `UnsupportedType` naming
    class, field and a type to use instead, and `SchemaRefused` for a class containing itself.
    """
    return record_of(cls).args_schema(name)


def job_schema(cls: type, job_name: str) -> JobSchema:
    """Derive the schema of job type `job_name` with args of dataclass `cls`.

    Raises `UnsupportedType` for a type, default or name that has no schema, and `SchemaRefused`
    for a schema that could kill a decoder.
    """
    return job_schema_of(job_name, args_schema(cls, name=job_name))


def job_schema_of(job_name: str, args: Json) -> JobSchema:
    """The same around an args record that is already derived."""
    schema: Json = {
        "type": "record",
        "name": avro_name(job_name),
        JOB_TYPE_PROPERTY: job_name,
        "fields": [{"name": "meta", "type": packaged("meta")}, {"name": "args", "type": args}],
    }
    parsed_schema(schema)
    # The same for the same schema in every process.
    text = json.dumps(schema, sort_keys=True, separators=(",", ":"))
    return JobSchema(job_name, schema_fingerprint(schema), text, schema)
