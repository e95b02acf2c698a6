"""The fields of a job's args as a form shows them, by its schema, and what was changed there. Pure.

Texts are shown as `visible` makes them and come back with the ends of lines that browsers send, so
a field counts as changed only where its text differs from the one that was shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastavro import parse_schema

from jobstream.operate.correction import fields_of, value_of
from jobstream.operate.errors import CannotFix
from jobstream_schemas.avro_json import named_types
from jobstream_schemas.secret import MASK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CHARS_MAX = 20_000
"""A longer value is not edited in a form: `jobstream dlq fix` takes it."""
LINE_CHARS_MAX = 60
_NUMBERS = frozenset({"int", "long", "float", "double"})
_WITHIN = frozenset({"array", "map", "record"})


@dataclass(frozen=True, slots=True)
class FixField:
    """One field."""

    name: str
    told: str
    """Its type in words."""
    kind: str
    """`text`, `lines`, `number`, `choice`, `json`, `secret`, or `kept`: not changed by a form."""
    value: str = ""
    """Empty for a secret one, which stays as it is unless something is given."""
    choices: tuple[str, ...] = ()
    may_be_none: bool = False
    is_none: bool = False
    in_job: bool = True
    """The dead job has it; else its class, or its schema, gave it later."""
    declared: Any = None


def fix_fields(
    schema: Any,  # noqa: ANN401 - a job's schema
    args: Mapping[str, Any],
    masked_args: Mapping[str, Any],
) -> tuple[FixField, ...]:
    """A field for each of the schema's; `masked_args` are the same args without secrets."""
    known = named_types(parse_schema(schema))
    return tuple(
        _field(name, declared, known, args, masked_args)
        for name, declared in fields_of(parse_schema(schema)).items()
    )


def changes_in(
    fields: tuple[FixField, ...], sent: Mapping[str, str], visible: Callable[[str], str]
) -> dict[str, object]:
    """What a form that was sent changes: `arg.NAME` has the text, `none.NAME` says null.

    Raises CannotFix naming the field whose text is no JSON where it has to be some.
    """
    found: dict[str, object] = {}
    for field in fields:
        text = _lines(sent.get(f"arg.{field.name}", ""))
        was = _lines(visible(field.value))
        if f"none.{field.name}" in sent and (text == was or not field.is_none):
            if not field.is_none:
                found[field.name] = None
        elif f"arg.{field.name}" in sent and _is_changed(field, text, was):
            found[field.name] = _value(field, text)
    return found


def _is_changed(field: FixField, text: str, was: str) -> bool:
    if field.kind == "kept":
        return False
    if field.kind == "secret" or not field.in_job:
        return text != ""
    return field.is_none or text != was


def _value(field: FixField, text: str) -> object:
    if field.kind == "json":
        try:
            made: object = json.loads(text)
        except (ValueError, RecursionError) as error:
            message = f"field {field.name}: it is no JSON: {error}"
            raise CannotFix(message) from error
        return made
    return value_of(text, field.declared)


def _field(
    name: str,
    declared: Any,  # noqa: ANN401 - a schema
    known: Mapping[str, Any],
    args: Mapping[str, Any],
    masked_args: Mapping[str, Any],
) -> FixField:
    alone, may_be_none = _without_null(declared)
    kind, choices = _kind(alone, known)
    value, in_job = args.get(name), name in args
    text = "" if value is None else _text(value, kind)
    if masked_args.get(name) != value:
        # A secret within a list or an object would come back as its mask.
        kind, text = ("secret" if masked_args[name] == MASK else "kept"), ""
    elif len(text) > CHARS_MAX:
        kind, text = "kept", ""
    elif kind == "text" and ("\n" in text or len(text) > LINE_CHARS_MAX):
        kind = "lines"
    is_none = in_job and value is None
    return FixField(
        name, _told(alone, known), kind, text, choices, may_be_none, is_none, in_job, declared
    )


def _without_null(declared: Any) -> tuple[Any, bool]:  # noqa: ANN401 - schemas
    if not isinstance(declared, list) or "null" not in declared:
        return declared, False
    others = [each for each in declared if each != "null"]
    return (others[0] if len(others) == 1 else others), True


def _kind(declared: Any, known: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:  # noqa: ANN401
    if isinstance(declared, str) and declared in known:
        declared = known[declared]
    if isinstance(declared, list):
        return "json", ()
    if isinstance(declared, dict):
        if "logicalType" in declared:
            return "text", ()
        if declared["type"] == "enum":
            return "choice", tuple(declared["symbols"])
        return ("json", ()) if declared["type"] in _WITHIN else _kind(declared["type"], known)
    if declared == "boolean":
        return "choice", ("true", "false")
    return ("number" if declared in _NUMBERS else "text"), ()


def _told(declared: Any, known: Mapping[str, Any]) -> str:  # noqa: ANN401 - a schema
    if isinstance(declared, str) and declared in known:
        declared = known[declared]
    if isinstance(declared, list):
        return " or ".join(_told(each, known) for each in declared)
    if not isinstance(declared, dict):
        return {"bytes": "bytes, as base64", "string": "text"}.get(declared, str(declared))
    if "logicalType" in declared:
        return str(declared["logicalType"])
    inner = declared.get("items") or declared.get("values")
    if inner is not None:
        kind = "list" if declared["type"] == "array" else "object"
        return f"{kind} of {_told(inner, known)}, as JSON"
    return {"record": "object, as JSON", "enum": "one of these"}.get(
        declared["type"], str(declared["type"])
    )


def _text(value: object, kind: str) -> str:
    if isinstance(value, str) and kind != "json":
        return value
    indent = 2 if kind == "json" else None
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
