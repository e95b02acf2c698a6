"""A job's encoded args with some fields replaced, by its writer's schema alone. Pure.

Bytes of other fields stay as they are. What the schema can't decide is refused: values of logical
types and bytes, and fields within fields, are left to the job type's own class.
"""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING, Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.validation import validate

from jobstream.operate.errors import CannotFix
from jobstream_schemas.avro_json import named_types

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobstream_schemas import Reader

NEEDS_CODE = "name the app as MODULE:APP, so that its own class checks the value"
_JSON_TYPES = frozenset(("int", "long", "float", "double", "boolean", "null"))
_NAMED = frozenset(("record", "enum", "fixed"))


def value_of(text: str, schema: Any) -> object:  # noqa: ANN401 - a schema
    """The JSON value that a typed text means for a field: itself where the field holds texts."""
    branches = schema if isinstance(schema, list) else [schema]
    if not all(isinstance(each, str) and each in _JSON_TYPES for each in branches):
        return text
    try:
        value: object = json.loads(text)
    except ValueError:
        return text  # Refused by its field's name, like any other value of a wrong type.
    return value


def fields_of(schema: Any) -> dict[str, Any]:  # noqa: ANN401 - a schema
    """The fields of a job schema's args, each with its type."""
    _, args = schema["fields"]
    return {field["name"]: field["type"] for field in args["type"]["fields"]}


def require_fields(given: Iterable[str], there: Iterable[str], job_type: str) -> None:
    """Raise CannotFix, naming the fields there are, for one that is not."""
    names = list(there)
    for name in given:
        if name not in names:
            message = f"{job_type} has no field {name!r}; it has: {', '.join(names) or 'none'}"
            raise CannotFix(message)


def corrected_args(reader: Reader, args: bytes, changes: Mapping[str, object]) -> bytes:
    """The args' bytes with these fields replaced; raises CannotFix naming the field."""
    schema: Any = parse_schema(reader.schema)
    fields = fields_of(schema)
    require_fields(changes, fields, reader.job_type)
    known = named_types(schema)
    stream, made = BytesIO(args), []
    for name, declared in fields.items():
        alone = _alone(name, declared, known)
        start = stream.tell()
        try:
            schemaless_reader(stream, alone, None)
        except Exception as error:
            message = f"{reader.job_type}: its args are damaged: nothing of them can be kept"
            raise CannotFix(message) from error
        raw = args[start : stream.tell()]
        if name in changes:
            raw = _encoded(reader.job_type, name, declared, alone, changes[name])
        made.append(raw)
    if stream.tell() != len(args):
        message = f"{reader.job_type}: its args are damaged: bytes are left over"
        raise CannotFix(message)
    return b"".join(made)


def _encoded(job_type: str, name: str, declared: Any, alone: Any, value: object) -> bytes:  # noqa: ANN401
    if _needs_class(declared):
        message = f"{job_type}.{name} can't be set by its schema alone: {NEEDS_CODE}"
        raise CannotFix(message)
    if not validate({name: value}, alone, raise_errors=False, strict=True):
        message = f"{job_type}.{name}: the value does not fit its type, {_told(declared)}"
        raise CannotFix(message)
    out = BytesIO()
    try:
        schemaless_writer(out, alone, {name: value})
    except Exception as error:
        message = f"{job_type}.{name}: the value does not fit its type, {_told(declared)}"
        raise CannotFix(message) from error
    return out.getvalue()


def _needs_class(declared: Any) -> bool:  # noqa: ANN401 - a schema
    """Whether a value of it has a form, or a meaning, that only its class knows."""
    if isinstance(declared, list):
        return any(map(_needs_class, declared)) or len(declared) > 2  # noqa: PLR2004 - an optional
    if not isinstance(declared, dict):
        return declared not in _JSON_TYPES | {"string"}
    if "logicalType" in declared or declared["type"] in {"fixed", "record", "bytes"}:
        return True
    if declared["type"] == "enum":
        return False
    inner = declared.get("items") or declared.get("values") or declared["type"]
    return _needs_class(inner)


def _told(declared: Any) -> str:  # noqa: ANN401 - a schema
    if isinstance(declared, list):
        return " or ".join(map(_told, declared))
    if not isinstance(declared, dict):
        return str(declared)
    if declared["type"] == "enum":
        return f"one of {', '.join(declared['symbols'])}"
    inner = declared.get("items") or declared.get("values")
    return f"{declared['type']} of {_told(inner)}" if inner is not None else str(declared["type"])


def _alone(name: str, declared: Any, known: Mapping[str, Any]) -> Any:  # noqa: ANN401 - schemas
    """A schema of a record with this field only, its values read as they are encoded."""
    field = {"name": name, "type": _plain(declared, known, set())}
    return parse_schema({"type": "record", "name": "jobstream_one_field", "fields": [field]})


def _plain(declared: Any, known: Mapping[str, Any], seen: set[str]) -> Any:  # noqa: ANN401 - schemas
    if isinstance(declared, list):
        return [_plain(each, known, seen) for each in declared]
    if isinstance(declared, str):
        if declared not in known or declared in seen:
            return declared
        return _plain(known[declared], known, seen)
    kind = declared["type"]
    if kind not in _NAMED | {"array", "map"}:
        return _plain(kind, known, seen)
    kept = {key: declared[key] for key in ("type", "name", "symbols", "size") if key in declared}
    if kind in _NAMED:
        seen.add(declared["name"])
    for inner in ("items", "values"):
        if inner in declared:
            kept[inner] = _plain(declared[inner], known, seen)
    if kind == "record":
        kept["fields"] = [
            {"name": each["name"], "type": _plain(each["type"], known, seen)}
            for each in declared["fields"]
        ]
    return kept
