"""Fields marked as secret: found in types, in values, and in schemas of any writer.

The mark changes no byte of an event: the value is in the log in clear. It tells those who show
values, in log lines, error texts and tools, which of them to leave out. Nothing is shown here.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NewType, TypeAlias, get_args, get_origin, get_type_hints

from fastavro import parse_schema

from jobstream_schemas.avro_json import Json, named_types
from jobstream_schemas.record_classes import field_names, is_record, with_value
from jobstream_schemas.wire_names import SECRET_PROPERTY

Finder: TypeAlias = Callable[[Any], Iterator[object]]
"""From a value to its secret parts."""
Marks: TypeAlias = frozenset[tuple[str, str]]
"""(record, field) of what is secret."""

MASK = "***"


@dataclasses.dataclass(frozen=True, slots=True)
class Secret:
    """Marks a field whose value is never to be shown: `password: Annotated[str, Secret]`.

    Its value is left out of log lines, error texts, dead letters' headers and what the command
    line prints. The event itself holds it in clear: who may read the topic may read it.
    """


def is_secret(hint: object) -> bool:
    """Whether a field's type is marked, itself or a part of it, such as the items of a list.

    A dataclass within says so at its own fields.
    """
    if isinstance(hint, NewType):
        return is_secret(hint.__supertype__)
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        base, *extras = parts
        return any(each is Secret or isinstance(each, Secret) for each in extras) or is_secret(base)
    return any(is_secret(part) for part in parts)


def value_parts(value: object) -> Iterator[object]:
    """Every value without parts in a secret one, keys of maps among them."""
    if is_record(value):
        for name in field_names(type(value)):
            yield from value_parts(getattr(value, name))
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from value_parts(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from value_parts(each)
    elif value is not None:
        yield value


def shown(args: object) -> str:
    """The `repr` of a job's args, with `***` for each value of a field that is marked.

    The class's own `repr` writes the rest. Where it fails, the text is the class's name alone.
    """
    try:
        return repr(covered(args))
    except Exception:  # noqa: BLE001 - the class's own code, which was handed a stand-in
        return f"<{type(args).__name__}>"


class _Cover(str):
    """Stands in for a secret value, whatever a `repr` does with it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return MASK


def covered(value: Any) -> Any:  # noqa: ANN401 - any value
    """A copy of job args, or of what holds them, whose secret values are stand-ins.

    Runs code of their class, and raises what that raises.
    """
    if is_record(value):
        try:
            hints = get_type_hints(type(value), include_extras=True)
        except (NameError, TypeError, AttributeError):
            return value  # No args of a job: declaring one resolves its types.
        made = copy.copy(value)
        for name in field_names(type(value)):
            held = getattr(value, name)
            if held is not None:
                inner = _Cover(MASK) if is_secret(hints[name]) else covered(held)
                with_value(made, name, inner)
        return made
    if type(value) in (list, tuple):
        return type(value)(map(covered, value))
    if type(value) is dict:
        return {key: covered(each) for key, each in value.items()}
    return value


# -- in schemas, for tools that have no class


def marks(schema: Json) -> Marks:
    """(record, field) of every mark in a schema that was linted."""
    return frozenset(
        (_short(record), str(field["name"]))
        for record in named_types(parse_schema(schema)).values()
        for field in record.get("fields", ())
        if field.get(SECRET_PROPERTY)
    )


def masked(schema: Json, args: Any, secret: Marks | None = None) -> Any:  # noqa: ANN401 - JSON values in, JSON values out
    """The args of an event of this job schema, as JSON values, secret ones replaced by `***`.

    `secret` holds (record, field); left out, it is what this schema itself marks. Records are
    matched by their short names. A value that is None stays. Fields of a record within a union are
    masked if any branch marks a field of that name.
    """
    parsed: Any = parse_schema(schema)
    fields = {str(field["name"]): field["type"] for field in parsed["fields"]}
    hidden = marks(schema) if secret is None else secret
    return _masked(fields["args"], args, named_types(parsed), hidden)


def _short(record: Json) -> str:
    return str(record["name"]).rpartition(".")[2]


def _masked(schema: object, value: Any, records: dict[str, Json], secret: Marks) -> Any:  # noqa: ANN401 - JSON
    if isinstance(schema, str):
        schema = records.get(schema)
    if isinstance(schema, list):
        for branch in schema:
            value = _masked(branch, value, records, secret)
        return value
    if not isinstance(schema, dict):
        return value
    match schema.get("type"), value:
        case "record", dict():
            hidden = dict(value)
            for field in schema["fields"]:
                name = str(field["name"])
                if hidden.get(name) is not None:
                    inner = _masked(field["type"], hidden[name], records, secret)
                    hidden[name] = MASK if (_short(schema), name) in secret else inner
            return hidden
        case "array", list():
            return [_masked(schema["items"], each, records, secret) for each in value]
        case "map", dict():
            each_is = schema["values"]
            return {key: _masked(each_is, each, records, secret) for key, each in value.items()}
        case (dict() | list()) as inner, _:
            return _masked(inner, value, records, secret)
    return value
