"""Build the function from args, as their writer's schema reads them, to the declared dataclass.

For args of another schema than the class's own. The rules are Avro's ("Schema Resolution" in the
1.12 specification), but for two: a field that the writer did not have is left out of the call of
the class, so Python's own default applies, whatever it is; and an `int` that no float can hold is
not rounded. It reads no bytes, so what fails here is never damage: the two schemas do not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, assert_never
from uuid import UUID

from jobstream_schemas.errors import SchemaMismatch, shown, text_of
from jobstream_schemas.logical_values import date_at, decimal_of, instant_at
from jobstream_schemas.making import refused
from jobstream_schemas.shapes import (
    DecimalSpec,
    EnumOf,
    ListOf,
    LiteralOf,
    Logical,
    MapOf,
    OptionalOf,
    RecordOf,
    Scalar,
    Shape,
    TupleOf,
)

if TYPE_CHECKING:
    from jobstream_schemas.derive import Json

Step: TypeAlias = Callable[[Any], Any]
"""From a value of the writer's to one of the declared type; None where they are the same."""
Named: TypeAlias = Mapping[str, "Json"]

_LOGICALS: dict[str, tuple[str, Step]] = {
    "uuid": ("string", UUID),
    "date": ("int", date_at),
    "datetime": ("long", instant_at),
}
_PYTHON: dict[str, type] = {
    "null": NoneType,
    "boolean": bool,
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "bytes": bytes,
    "string": str,
    "array": list,
    "map": dict,
}


def resolver(writer: Json, shape: RecordOf) -> Step:
    """The function from a record of the (linted, plain) writer schema to the class, by calling it.

    Records are dicts; a value of a named type within a union is a tuple of name and value. The
    class's own checks run. Raises `SchemaMismatch` naming the fields: all of them, at once, where
    no value of the writer's can be read; else the first, when a value comes that cannot.
    """
    return _record(writer, shape, "args", named_types(writer))


def named_types(schema: object) -> dict[str, Json]:
    """Every named type that a parsed schema defines."""
    if isinstance(schema, list):
        parts = [named_types(branch) for branch in schema]
    elif isinstance(schema, dict):
        inner = [schema.get(key) for key in ("type", "items", "values")]
        inner += [field["type"] for field in schema.get("fields", ())]
        parts = [named_types(each) for each in inner]
        if "name" in schema:
            parts.append({schema["name"]: schema})
    else:
        return {}
    return {name: found for part in parts for name, found in part.items()}


def _refuse(path: str, words: str, value: str = "") -> NoReturn:
    """Raise for a field; `value`, if any, is told before the words where nothing is secret."""
    message = f"{path}: {value}{words}"
    raise SchemaMismatch(message, f"{path}: {words}")


def _step(writer: object, shape: Shape, path: str, named: Named) -> Step | None:  # noqa: PLR0911  # one return per shape
    writer = _plainly(writer, named)
    if isinstance(writer, list):
        return _union(writer, shape, path, named)
    match shape:
        case OptionalOf(item):
            return None if writer == "null" else _step(writer, item, path, named)
        case RecordOf():
            return _record(writer, shape, path, named)
        case EnumOf():
            return _enum(writer, shape, path)
        case ListOf(item):
            return _sequence(list, _inner(writer, "array", item, path, named))
        case TupleOf(item):
            return _sequence(tuple, _inner(writer, "array", item, path, named))
        case MapOf(item):
            return _map(_inner(writer, "map", item, path, named))
        case Scalar(kind):
            return _promoted(writer, kind, path)
        case Logical(kind):
            plain, make = _LOGICALS[kind]
            return _then(_promoted(writer, plain, path), make)
        case DecimalSpec():
            return _then(_promoted(writer, "bytes", path), lambda raw: decimal_of(raw, shape))
        case LiteralOf(values):
            return _then(_promoted(writer, "string", path), _literal(values, path))
        case _:
            assert_never(shape)


def _plainly(writer: object, named: Named) -> object:
    """A union as a list, a named or complex type as a dict, anything else as its name."""
    while isinstance(writer, dict) and isinstance(writer["type"], (dict, list)):
        writer = writer["type"]
    if isinstance(writer, dict) and writer["type"] in _PYTHON.keys() - {"array", "map"}:
        return writer["type"]
    return named.get(writer, writer) if isinstance(writer, str) else writer


def _told(writer: object) -> str:
    """The writer's type in words."""
    if isinstance(writer, dict):
        return " ".join(str(writer[key]) for key in ("type", "name") if key in writer)
    return str(writer)


def _then(first: Step | None, then: Step) -> Step:
    return then if first is None else lambda value: then(first(value))


def _promoted(writer: object, kind: str, path: str) -> Step | None:
    match writer, kind:
        case ("int", "long") | ("float", "double"):
            return None
        case (("int" | "long"), "double"):
            return lambda value: _exact(value, path)
        case "bytes", "string":
            return bytes.decode
        case "string", "bytes":
            return str.encode
        case _ if writer == kind:
            return None
    _refuse(path, f"was written as {_told(writer)}, and cannot be read as {kind}")


def _exact(value: int, path: str) -> float:
    number = float(value)
    if number != value:
        _refuse(path, "was written as an int, and no 64-bit float can hold it", f"{value} ")
    return number


def _literal(values: tuple[str, ...], path: str) -> Step:
    def read(value: str) -> str:
        if value in values:
            return value
        known = ", ".join(sorted(map(repr, values)))
        _refuse(path, f"is none of {known}", f"{shown(value)} ")

    return read


def _enum(writer: object, shape: EnumOf, path: str) -> Step:
    _same_name(writer, ("enum",), shape.cls, path)
    members = {member.name: member for member in shape.cls}

    def read(symbol: str) -> object:
        if symbol in members:
            return members[symbol]
        _refuse(path, f"is no member of {shape.cls.__name__}", f"{symbol} ")

    return read


def _inner(writer: object, kind: str, item: Shape, path: str, named: Named) -> Step | None:
    if not (isinstance(writer, dict) and writer["type"] == kind):
        _refuse(path, f"was written as {_told(writer)}, and cannot be read as {kind}")
    part, mark = ("items", "[]") if kind == "array" else ("values", "{}")
    return _step(writer[part], item, f"{path}{mark}", named)


def _sequence(kind: type[list[Any] | tuple[Any, ...]], item: Step | None) -> Step:
    if item is None:
        return kind
    return lambda value: kind(map(item, value))


def _map(item: Step | None) -> Step | None:
    if item is None:
        return None
    return lambda value: {key: item(each) for key, each in value.items()}


def _union(branches: list[Any], shape: Shape, path: str, named: Named) -> Step:
    """By the branch that each value was written with; branches that nobody uses may not fit."""
    steps: dict[object, Step] = {}
    misfits = []
    for branch in (_plainly(each, named) for each in branches):
        key = _key(branch)
        try:
            steps[key] = _branch(branch, shape, path, named) or _same
        except SchemaMismatch as error:
            misfits.append(error)
            steps[key] = _refusing(error)
    if len(misfits) == len(branches):
        raise misfits[-1]

    def read(value: Any) -> Any:  # noqa: ANN401 - whatever the branch holds
        if isinstance(value, tuple):
            name, value = value
            return steps[name](value)
        return steps[type(value)](value)

    return read


def _branch(branch: object, shape: Shape, path: str, named: Named) -> Step | None:
    if branch == "null" and not isinstance(shape, OptionalOf):
        _refuse(path, "was written as None, and may not be None any more")
    return _step(branch, shape, path, named)


def _key(branch: object) -> object:
    """What a value of this branch is found by: the name of its type, or its class."""
    if isinstance(branch, dict):
        return branch["name"] if "name" in branch else _PYTHON[branch["type"]]
    return _PYTHON[str(branch)]


def _same(value: Any) -> Any:  # noqa: ANN401 - whatever it is given
    return value


def _refusing(misfit: SchemaMismatch) -> Step:
    def read(_: object) -> NoReturn:
        raise SchemaMismatch(misfit.names, misfit.names)

    return read


def _record(writer: object, shape: RecordOf, path: str, named: Named) -> Step:
    fields = _same_name(writer, ("record", "error"), shape.cls, path)["fields"]
    written = {field["name"]: field["type"] for field in fields}
    steps: list[tuple[str, Step | None]] = []
    misfits: list[str] = []
    for field in shape.fields:
        at = f"{path}.{field.name}"
        try:
            if field.name in written:
                steps.append((field.name, _step(written[field.name], field.shape, at, named)))
            elif not field.has_default:
                _refuse(at, "was not written, and has no default")
        except SchemaMismatch as error:
            misfits.append(error.names)
    if misfits:
        words = "; ".join(misfits)
        raise SchemaMismatch(words, words)
    return _reading(shape.cls, steps, path)


def _reading(cls: type, steps: list[tuple[str, Step | None]], path: str) -> Step:
    def read(record: dict[str, Any]) -> object:
        values = {}
        name = ""
        try:
            for name, step in steps:  # the name is needed where it fails
                value = record[name]
                values[name] = value if step is None else step(value)
        except SchemaMismatch:
            raise
        except Exception as error:
            names = f"{path}.{name}: {type(error).__name__}"
            message = f"{names}: {text_of(error)}"
            raise SchemaMismatch(message, names) from error
        try:
            return cls(**values)
        except Exception as error:
            raise refused(cls, path, error) from error

    return read


def _same_name(writer: object, kinds: tuple[str, ...], cls: type, path: str) -> Json:
    """The writer's type, if it is of that kind and has the name that the class had in schemas."""
    name = "Args" if path == "args" else cls.__name__
    if not (isinstance(writer, dict) and writer["type"] in kinds):
        _refuse(path, f"was written as {_told(writer)}, and cannot be read as {kinds[0]} {name}")
    theirs = str(writer["name"]).rpartition(".")[2]
    if theirs != name:
        _refuse(path, f"was written as {_told(writer)}, and cannot be read as {kinds[0]} {name}")
    return writer
