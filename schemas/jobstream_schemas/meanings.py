"""What Avro's resolution and fingerprint do not see: logical types and literals, leaf by leaf.

Avro reads a decimal of scale 3 as one of scale 2, and days as microseconds, without a word. This
module lists the leaves of a schema by their path and names those that changed their meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobstream_schemas.wire_names import LITERAL_PROPERTY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream_schemas.avro_json import Json


@dataclass(frozen=True, slots=True)
class Meaning:
    """A type without parts: Avro's kind, its logical type spelled out, and allowed strings."""

    kind: str
    logical: str = ""
    literals: tuple[str, ...] = field(default=(), compare=False)


def meanings(schema: object, path: str) -> dict[str, list[Meaning]]:
    """The leaves of a parsed, linted schema by path; branches of a union share a path."""
    found: dict[str, list[Meaning]] = {}
    for at, leaf in _walk(schema, path, {}):
        found.setdefault(at, []).append(leaf)
    return found


def meaning_changes(writer: object, reader: object, path: str) -> list[tuple[str, str]]:
    """Paths, with words, whose bytes would be read with another logical type than written."""
    theirs, ours = meanings(writer, path), meanings(reader, path)
    changes = []
    for at in theirs.keys() & ours.keys():
        for leaf in theirs[at]:
            candidates = [each for each in ours[at] if each.kind == leaf.kind] or ours[at]
            if all(each.logical != leaf.logical for each in candidates):
                now = candidates[0].logical or "none"
                changes.append((at, f"logical type {leaf.logical or 'none'} is read as {now}"))
    return sorted(changes)


def literal_changes(writer: object, reader: object, path: str) -> list[tuple[str, str]]:
    """Paths, with words, whose writer may hold a string that the reader refuses."""
    theirs, ours = meanings(writer, path), meanings(reader, path)
    changes = []
    for at in theirs.keys() & ours.keys():
        allowed = {value for leaf in ours[at] for value in leaf.literals}
        written = [leaf for leaf in theirs[at] if leaf.kind in {"string", "bytes"}]
        for leaf in written if allowed else ():
            gone = sorted(set(leaf.literals) - allowed)
            if gone or not leaf.literals:
                words = f"values {', '.join(gone)}" if gone else "any string"
                changes.append((at, f"{words} may be queued and would be refused"))
    return sorted(changes)


def _walk(schema: object, path: str, named: dict[str, Json]) -> Iterator[tuple[str, Meaning]]:
    if isinstance(schema, list):
        for branch in schema:
            yield from _walk(branch, path, named)
        return
    if not isinstance(schema, dict):
        if schema in named:
            yield from _walk(named[str(schema)], path, named)
        elif schema != "null":
            yield path, Meaning(str(schema))
        return
    if "name" in schema:
        named[schema["name"]] = schema
    if "fields" in schema:
        for each in schema["fields"]:
            yield from _walk(each["type"], f"{path}.{each['name']}", named)
    elif (kind := schema["type"]) == "array":
        yield from _walk(schema["items"], f"{path}[]", named)
    elif kind == "map":
        yield from _walk(schema["values"], f"{path}{{}}", named)
    else:
        literals = tuple(schema.get(LITERAL_PROPERTY, ()))
        yield path, Meaning(str(kind), _logical(schema), literals)


def _logical(schema: Json) -> str:
    logical = str(schema.get("logicalType", ""))
    if logical == "decimal":
        return f"decimal({schema.get('precision')}, {schema.get('scale', 0)})"
    return logical
