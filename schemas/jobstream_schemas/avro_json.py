"""An Avro schema as JSON values: what it defines, and its form without logical types."""

from __future__ import annotations

from typing import Any, TypeAlias

from fastavro import parse_schema

Json: TypeAlias = dict[str, Any]

_LOGICAL_KEYS = frozenset({"logicalType", "precision", "scale"})
_NESTED_KEYS = ("type", "items", "values")


def named_types(schema: object) -> dict[str, Json]:
    """Every named type that a parsed schema defines."""
    if isinstance(schema, list):
        parts = [named_types(branch) for branch in schema]
    elif isinstance(schema, dict):
        inner = [schema.get(key) for key in _NESTED_KEYS]
        inner += [field["type"] for field in schema.get("fields", ())]
        parts = [named_types(each) for each in inner]
        if "name" in schema:
            parts.append({schema["name"]: schema})
    else:
        return {}
    return {name: found for part in parts for name, found in part.items()}


def plain(schema: Json) -> Json:
    """A parsed schema without logical types, parsed anew: Avro's own values come out of it."""
    return dict(parse_schema(_stripped(schema)))  # type: ignore[arg-type]  # a dict stays one


def _stripped(schema: object) -> object:
    if isinstance(schema, list):
        return [_stripped(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept: Json = {
        key: _stripped(value) if key in _NESTED_KEYS else value
        for key, value in schema.items()
        if key not in _LOGICAL_KEYS and not key.startswith("__")
    }
    if "fields" in kept:
        kept["fields"] = [_stripped(each) for each in kept["fields"]]
    return kept
