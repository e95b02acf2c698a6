"""Refuse schemas that can kill or stall a decoder.

The Avro library crashes the process on deep recursion (10 KB suffice) and builds 20 million items
from five bytes where an item takes none, so such a schema must never reach it. Widths are counted
with every use of a named type expanded: records that each hold the next one twice double the
work at every level without any byte being read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastavro import parse_schema

from jobstream_schemas.errors import SchemaRefused
from jobstream_schemas.wire_names import PRIMITIVES

if TYPE_CHECKING:
    from jobstream_schemas.avro_json import Json

DEPTH_MAX = 32
FIELDS_MAX = 1_000

# One level of a schema takes at most four of JSON: record, fields, field, type.
_JSON_DEPTH_MAX = DEPTH_MAX * 4
_RECORDS = frozenset({"record", "error"})


@dataclass(frozen=True, slots=True)
class _Extent:
    """How far a type can go: its depth, its fields expanded, and whether it may take no byte."""

    depth: int
    fields: int
    is_empty: bool


def parsed_schema(schema: object) -> Json:
    """The schema with full names everywhere, as the Avro library wants it.

    Raises `SchemaRefused` naming the type for a schema that is invalid or dangerous: recursive;
    array items or map values of zero bytes; deeper than 32; more than 1,000 fields, a type used
    twice counted twice.
    """
    if not isinstance(schema, dict):
        message = f"a job's schema must be an Avro record, not {type(schema).__name__}"
        raise SchemaRefused(message)
    _check_nesting(schema)
    try:
        parsed = dict(parse_schema(schema))  # type: ignore[arg-type]  # a dict stays one
        _Walk().extent(parsed, "schema")
    except SchemaRefused:
        raise
    except Exception as error:
        # The library raises whatever a malformed schema makes it carried on, such as TypeError.
        message = f"this is not a valid Avro schema: {type(error).__name__}: {error}"
        raise SchemaRefused(message) from error
    return parsed


def _check_nesting(schema: object) -> None:
    level = [schema]
    for _ in range(_JSON_DEPTH_MAX):
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    message = f"schema is nested deeper than {DEPTH_MAX} levels: flatten it"
    raise SchemaRefused(message)


class _Walk:
    """One pass over a parsed schema, remembering the extent of each named type."""

    def __init__(self) -> None:
        self._known: dict[str, _Extent | None] = {}

    def extent(self, schema: object, where: str) -> _Extent:
        found = self._extent(schema, where)
        if found.depth > DEPTH_MAX:
            message = f"{where} is nested deeper than {DEPTH_MAX} levels: flatten it"
            raise SchemaRefused(message)
        if found.fields > FIELDS_MAX:
            message = f"{where} has {found.fields} fields, types expanded; at most {FIELDS_MAX}"
            raise SchemaRefused(message)
        return found

    def _extent(self, schema: object, where: str) -> _Extent:
        if isinstance(schema, list):
            parts = [self.extent(branch, where) for branch in schema]
            return _Extent(_deepest(parts), sum(part.fields for part in parts), is_empty=False)
        if isinstance(schema, dict):
            return self._complex(schema, where)
        if schema in PRIMITIVES:
            return _Extent(1, 0, is_empty=schema == "null")
        return self._reference(str(schema), where)

    def _complex(self, schema: Json, where: str) -> _Extent:
        kind = schema["type"]
        if kind in _RECORDS:
            return self._record(schema)
        if kind in {"array", "map"}:
            inner = self.extent(schema["items" if kind == "array" else "values"], where)
            if inner.is_empty:
                message = f"{where}: items of a {kind} must take at least one byte"
                raise SchemaRefused(message)
            return _Extent(inner.depth + 1, inner.fields, is_empty=False)
        if kind in {"enum", "fixed"}:
            found = _Extent(1, 0, is_empty=kind == "fixed" and schema["size"] <= 0)
            self._known[schema["name"]] = found
            return found
        return self._extent(kind, where)

    def _record(self, schema: Json) -> _Extent:
        name = schema["name"]
        self._known[name] = None
        parts = [self.extent(f["type"], f"{name}.{f['name']}") for f in schema["fields"]]
        fields = len(parts) + sum(part.fields for part in parts)
        found = _Extent(_deepest(parts), fields, is_empty=all(part.is_empty for part in parts))
        self._known[name] = found
        return found

    def _reference(self, name: str, where: str) -> _Extent:
        if name not in self._known:
            message = f"{where}: type {name} is not defined"
            raise SchemaRefused(message)
        found = self._known[name]
        if found is None:
            message = f"{where}: {name} contains itself; a recursive job can kill its decoder"
            raise SchemaRefused(message)
        return found


def _deepest(parts: list[_Extent]) -> int:
    return 1 + max((part.depth for part in parts), default=0)
