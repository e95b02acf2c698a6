"""From the Avro schema of a job type's args to a JSON Schema of the JSON that an enqueue takes.

It describes: the types themselves decide what fits, and their errors name what does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobstream_schemas.wire_names import DEFAULT_PROPERTY, LITERAL_PROPERTY, SECRET_PROPERTY

if TYPE_CHECKING:
    from jobstream_schemas.avro_json import Json

_LONG = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
_PLAIN: dict[str, Json] = {
    "null": {"type": "null"},
    "boolean": {"type": "boolean"},
    "int": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "long": _LONG,
    "float": {"type": "number"},
    "double": {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]},
    "string": {"type": "string"},
    "bytes": {"type": "string", "contentEncoding": "base64"},
}
_LOGICAL: dict[str, Json] = {
    "uuid": {"type": "string", "format": "uuid"},
    "date": {"type": "string", "format": "date"},
    "timestamp-millis": {"type": "string", "format": "date-time"},
    "timestamp-micros": {"type": "string", "format": "date-time"},
    "decimal": {"anyOf": [{"type": "string"}, {"type": "number"}]},
}


def json_schema(avro: Json) -> Json:
    """The JSON Schema (2020-12) of an Avro record and all within it."""
    return _of(avro, {})


def _of(avro: Any, named: dict[str, Json]) -> Json:  # noqa: ANN401 - a type in JSON
    if isinstance(avro, list):
        return {"anyOf": [_of(branch, named) for branch in avro]}
    if isinstance(avro, str):
        return dict(named.get(avro) or _PLAIN.get(avro) or {})
    kind = avro["type"]
    if kind in {"record", "error"}:
        return _record(avro, named)
    if kind == "enum":
        found: Json = {"type": "string", "enum": list(avro["symbols"])}
        named[avro["name"]] = found
        return found
    if kind == "array":
        return {"type": "array", "items": _of(avro["items"], named)}
    if kind == "map":
        return {"type": "object", "additionalProperties": _of(avro["values"], named)}
    if LITERAL_PROPERTY in avro:
        return {"type": "string", "enum": list(avro[LITERAL_PROPERTY])}
    logical = _LOGICAL.get(avro.get("logicalType", ""))
    return dict(logical) if logical else _of(kind, named)


def _record(avro: Json, named: dict[str, Json]) -> Json:
    properties: dict[str, Json] = {}
    required = []
    for field in avro["fields"]:
        found = _of(field["type"], named)
        if field.get(SECRET_PROPERTY):
            found = {**found, "writeOnly": True}
        properties[field["name"]] = found
        if "default" not in field and not field.get(DEFAULT_PROPERTY):
            required.append(field["name"])
    made: Json = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        made["required"] = required
    named[avro["name"]] = made
    return made
