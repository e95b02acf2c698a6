"""The type that a writer's schema declares, in the terms of Avro's resolution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Any, NoReturn

from jobstream_schemas.avro_json import Json
from jobstream_schemas.errors import SchemaMismatch

if TYPE_CHECKING:
    Step = Callable[[Any], Any]

_PYTHON: dict[str, type] = {
    "null": NoneType, "boolean": bool, "int": int, "long": int, "float": float, "double": float,
    "bytes": bytes, "string": str, "array": list, "map": dict,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class WriterSchema:
    """The named types that it defines, and what makes an instance of a class of ours."""

    named: Mapping[str, Json]
    maker: Callable[[type], Callable[..., object]]


def refuse(path: str, words: str, value: str = "") -> NoReturn:
    """Raise for a field; the message begins with `value` where no field is secret."""
    message = f"{path}: {value}{words}"
    raise SchemaMismatch(message, f"{path}: {words}")


def unreadable(writer: object, path: str, wanted: str) -> NoReturn:
    """Raise for a field that was written as another type."""
    told = writer
    if isinstance(writer, dict):
        told = " ".join(str(writer[key]) for key in ("type", "name") if key in writer)
    refuse(path, f"was written as {told}, and cannot be read as {wanted}")


def plainly(writer: object, schema: WriterSchema) -> object:
    """A union as a list, a named or complex type as a dict, anything else as its name."""
    while isinstance(writer, dict) and isinstance(writer["type"], (dict, list)):
        writer = writer["type"]
    if isinstance(writer, dict) and writer["type"] in _PYTHON.keys() - {"array", "map"}:
        return writer["type"]
    return schema.named.get(writer, writer) if isinstance(writer, str) else writer


def promoted(writer: object, kind: str, path: str) -> Step | None:
    """How a primitive is read as another; None where nothing is to do."""
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
    unreadable(writer, path, kind)


def _exact(value: int, path: str) -> float:
    number = float(value)
    if number != value:
        refuse(path, "was written as an int, and no 64-bit float can hold it", f"{value} ")
    return number


def then(first: Step | None, last: Step) -> Step:
    """Both, one after the other."""
    return last if first is None else lambda value: last(first(value))


def part_of(writer: object, kind: str, path: str) -> object:
    """The type of an array's items or a map's values."""
    if not (isinstance(writer, dict) and writer["type"] == kind):
        unreadable(writer, path, kind)
    return writer["items" if kind == "array" else "values"]


def same_name(writer: object, kinds: tuple[str, ...], cls: type, path: str) -> Json:
    """The writer's type, if it is of that kind and has the name that the class has in schemas."""
    name = "Args" if path == "args" else cls.__name__
    if not (
        isinstance(writer, dict)
        and writer["type"] in kinds
        and str(writer["name"]).rpartition(".")[2] == name
    ):
        unreadable(writer, path, f"{kinds[0]} {name}")
    return writer


def by_branch(
    branches: list[Any], schema: WriterSchema, read_branch: Callable[[object], Step | None]
) -> Step:
    """By the branch that each value was written with; a branch that no value uses may not fit.

    A value of a named type within a union is a tuple of its name and the value.
    """
    steps: dict[object, Step] = {}
    misfits = []
    for branch in (plainly(each, schema) for each in branches):
        key = _key(branch)
        try:
            steps[key] = read_branch(branch) or (lambda value: value)
        except SchemaMismatch as error:
            misfits.append(error)
            steps[key] = refusing(error.names)
    if len(misfits) == len(branches):
        raise misfits[-1]

    def read(value: Any) -> Any:  # noqa: ANN401 - whatever the branch holds
        if isinstance(value, tuple):
            name, value = value
            return steps[name](value)
        return steps[type(value)](value)

    return read


def _key(branch: object) -> object:
    """What a value of this branch is found by: the name of its type, or its class."""
    if isinstance(branch, dict):
        return branch["name"] if "name" in branch else _PYTHON[branch["type"]]
    return _PYTHON[str(branch)]


def refusing(words: str) -> Step:
    """A step that no value passes; `words` name fields and no value."""

    def read(_: object) -> NoReturn:
        raise SchemaMismatch(words, words)

    return read
