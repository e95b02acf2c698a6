"""The schema of one job type, `{meta, args}`, with its fingerprint; holds no codec."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from jobstream_schemas.derive import Json, args_schema_of
from jobstream_schemas.framing import schema_fingerprint
from jobstream_schemas.lint import lint
from jobstream_schemas.packaged import packaged
from jobstream_schemas.shape_of import record_of
from jobstream_schemas.wire_names import JOB_TYPE_PROPERTY, avro_name


@dataclass(frozen=True, slots=True)
class JobSchema:
    """A job type's writer schema: `json` is deterministic, `fingerprint` has 8 bytes."""

    job_type: str
    fingerprint: bytes
    json: str
    schema: Json = field(compare=False, repr=False)


def job_schema(cls: type, job_name: str) -> JobSchema:
    """Derive the schema of job type `job_name` with args of dataclass `cls`.

    Raises `UnsupportedType` for a type, default or name that has no schema, and `SchemaRefused`
    for a schema that could kill a decoder.
    """
    return job_schema_of(job_name, args_schema_of(record_of(cls), name=job_name))


def job_schema_of(job_name: str, args: Json) -> JobSchema:
    """The same around an args record that is already derived."""
    schema: Json = {
        "type": "record",
        "name": avro_name(job_name),
        JOB_TYPE_PROPERTY: job_name,
        "fields": [{"name": "meta", "type": packaged("meta")}, {"name": "args", "type": args}],
    }
    lint(schema)
    return JobSchema(job_name, schema_fingerprint(schema), schema_json(schema), schema)


def schema_json(schema: Json) -> str:
    """One line of JSON, the same for the same schema in every process."""
    return json.dumps(schema, sort_keys=True, separators=(",", ":"))
