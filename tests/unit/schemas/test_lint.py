"""Schemas that can kill or stall a decoder are refused, wherever the danger hides."""

from __future__ import annotations

from typing import Any

import pytest

from jobstream_schemas import SchemaRefused
from jobstream_schemas.lint import parsed_schema

EMPTY = {"type": "record", "name": "Empty", "fields": []}


def record(*types: Any, name: str = "R") -> dict[str, Any]:  # noqa: ANN401  # JSON
    fields = [{"name": f"f{at}", "type": each} for at, each in enumerate(types)]
    return {"type": "record", "name": name, "fields": fields}


def nested(levels: int) -> Any:  # noqa: ANN401  # JSON
    schema: Any = "string"
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def doubling(levels: int) -> Any:  # noqa: ANN401  # JSON
    """Records that each hold the next one twice: 2 to the power of levels, in no byte."""
    schema: Any = EMPTY
    for level in range(levels):
        schema = record(schema, schema["name"], name=f"D{level}")
    return schema


DANGERS = [
    (record(["null", "R"]), "contains itself"),
    (record({"type": "map", "values": {"type": "array", "items": "R"}}), "contains itself"),
    (record({"type": "array", "items": "null"}), "at least one byte"),
    (record({"type": "map", "values": EMPTY}), "at least one byte"),
    (record(EMPTY, {"type": "array", "items": "Empty"}), "at least one byte"),
    (record({"type": "array", "items": record(EMPTY, "null", name="S")}), "at least one byte"),
    (
        record({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}),
        "at least one byte",
    ),
    (record(nested(40)), "deeper than 32"),
    (record(nested(5_000)), "deeper than 32"),
    (record(*["int"] * 1_001), "1001 fields"),
    (doubling(20), "fields, types expanded"),
    (record("Missing"), "Missing"),
    ({"type": "record", "fields": []}, "not a valid Avro schema"),
]


@pytest.mark.parametrize(("schema", "words"), DANGERS, ids=range(len(DANGERS)))
def test_danger_is_refused(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(SchemaRefused, match=words):
        parsed_schema(schema)


@pytest.mark.parametrize(
    "schema",
    [
        record(nested(29)),
        record(*["int"] * 1_000),
        record(EMPTY, "Empty"),
        record({"type": "array", "items": ["null", "int"]}),
        record({"type": "array", "items": {"type": "enum", "name": "E", "symbols": ["A"]}}),
    ],
    ids=["deep", "wide", "empty", "optional", "enum"],
)
def test_what_only_looks_odd_is_fine(schema: dict[str, Any]) -> None:
    parsed_schema(schema)
