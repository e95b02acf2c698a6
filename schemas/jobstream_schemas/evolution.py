"""Will queued jobs decode with the code about to be deployed? Compares schemas alone.

The judge is the `avro` library's reader-writer check, which knows Avro's resolution rules. What it
ignores, logical types, the values of a Literal and defaults that Python makes, is judged here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from jobstream_schemas.avro_json import Json, named_types, plain
from jobstream_schemas.errors import MissingExtra, SchemaRefused
from jobstream_schemas.lint import parsed_schema
from jobstream_schemas.meanings import literal_changes, meaning_changes
from jobstream_schemas.wire_names import DEFAULT_PROPERTY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import ModuleType

    from jobstream_schemas.job_schema import JobSchema


_MEND = "keep the old type or use a new field"


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """One finding about a job type: `path` names the field, as in `args.price`.

    A finding of kind `new` breaks nothing: no job of that type can be queued yet.
    """

    job_type: str
    path: str
    kind: Literal["new", "structure", "logical type", "literal", "unreadable"]
    message: str

    @property
    def is_breaking(self) -> bool:
        """Whether jobs already queued would become dead letters."""
        return self.kind != "new"


def check(old: Json, new: Json, job_type: str) -> list[Incompatibility]:
    """What stops jobs written with `old` from decoding with `new`; empty if nothing does.

    Raises `SchemaRefused` for a schema that is invalid or dangerous, and `MissingExtra` without
    the `avro` library. Says nothing about a class's own checks at construction.
    """
    writer, reader = parsed_schema(old), parsed_schema(new)
    found = [
        Incompatibility(job_type, path, "structure", message)
        for path, message in _structure(
            _avro_schema(writer), _avro_schema(_required(writer, reader)), ""
        )
    ]
    known = {finding.path for finding in found}
    changes: tuple[tuple[Literal["logical type", "literal"], list[tuple[str, str]], str], ...] = (
        ("logical type", meaning_changes(writer, reader, ""), "use a new field"),
        ("literal", literal_changes(writer, reader, ""), "keep the old values"),
    )
    for kind, changed, fix in changes:
        places = [(path.lstrip("."), message) for path, message in changed]
        found += [
            Incompatibility(job_type, path, kind, f"{message}; {fix}")
            for path, message in places
            if path not in known
        ]
    return sorted(found, key=lambda finding: (finding.path, finding.message))


def export(schemas: Iterable[JobSchema], folder: Path) -> list[Path]:
    """Write each schema to `<job type>.avsc` in the folder, made if missing; the paths, sorted.

    Raises `OSError`. Leaves other files alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for schema in schemas:
        path = _path(folder, schema)
        path.write_text(json.dumps(schema.schema, indent=2) + "\n", encoding="utf-8")
        paths.append(path)
    return sorted(paths)


def check_folder(schemas: Iterable[JobSchema], folder: Path) -> list[Incompatibility]:
    """Compare each schema with the exported one; a missing file is a finding of kind `new`.

    Files of job types that are not given are not looked at.
    """
    found = []
    for schema in schemas:
        path = _path(folder, schema)
        if path.exists():
            found += _check_file(schema, path)
        else:
            message = f"no {path.name} yet: run `jobstream schemas export MODULE:APP {folder}`"
            found.append(Incompatibility(schema.job_type, "", "new", message))
    return found


def _check_file(schema: JobSchema, path: Path) -> list[Incompatibility]:
    try:
        return check(json.loads(path.read_text("utf-8")), schema.schema, schema.job_type)
    except (ValueError, RecursionError, SchemaRefused) as error:
        message = f"{path.name} does not hold a usable schema: {error}; export it again"
        return [Incompatibility(schema.job_type, "", "unreadable", message)]


def _path(folder: Path, schema: JobSchema) -> Path:
    return folder / f"{schema.job_type}.avsc"


def _avro() -> tuple[ModuleType, ModuleType]:
    try:
        import avro.compatibility  # noqa: PLC0415  # an optional extra
        import avro.schema  # noqa: PLC0415  # an optional extra, too
    except ImportError as error:
        message = "comparing schemas needs the avro library: pip install 'jobstream[worker]'"
        raise MissingExtra(message) from error
    return avro.schema, avro.compatibility


def _avro_schema(parsed: Json) -> Any:  # noqa: ANN401  # the library has no types
    library = _avro()[0]
    try:
        # Without logical types: the library warns about those it does not know.
        return library.parse(json.dumps(plain(parsed), default=str))
    except Exception as error:
        message = f"the avro library cannot compare it: {type(error).__name__}: {error}"
        raise SchemaRefused(message) from error


def _required(writer: Json, reader: Json) -> Json:
    """The reader's schema without fields that the writer lacks and that Python makes."""
    return dict(_Required(named_types(writer), named_types(reader)).of(writer, reader))


class _Required:
    """One walk over both schemas, named types defined where they are first met."""

    def __init__(self, theirs: dict[str, Json], ours: dict[str, Json]) -> None:
        self._theirs = theirs
        self._ours = ours
        self._defined: set[str] = set()

    def of(self, writer: object, reader: Any) -> Any:  # noqa: ANN401  # JSON in, JSON out
        if isinstance(reader, list):
            return [self.of(_like(branch, writer), branch) for branch in reader]
        if isinstance(reader, str):
            reader = self._ours.get(reader, reader)
        if isinstance(writer, str):
            writer = self._theirs.get(writer, writer)
        writer = _like(reader, writer)
        if not isinstance(reader, dict):
            return reader
        if (name := reader.get("name")) in self._defined:
            return name
        if name is not None:
            self._defined.add(name)
        return self._complex(writer if isinstance(writer, dict) else {}, reader)

    def _complex(self, writer: Json, reader: Json) -> Json:
        kept = dict(reader)
        if "fields" in kept:
            written = {field["name"]: field["type"] for field in writer.get("fields", ())}
            kept["fields"] = [
                field | {"type": self.of(written.get(field["name"]), field["type"])}
                for field in kept["fields"]
                if field["name"] in written or not field.get(DEFAULT_PROPERTY)
            ]
        for part in ("type", "items", "values"):
            if part in kept:
                kept[part] = self.of(writer.get(part), kept[part])
        return kept


def _like(reader: object, writer: object) -> object:
    """The branch of the writer's union that is of the reader's kind; the writer if it is none."""
    if not (isinstance(writer, list) and isinstance(reader, dict)):
        return writer
    branches = (each for each in writer if isinstance(each, dict))
    return next((each for each in branches if each["type"] == reader.get("type")), None)


def _structure(writer: Any, reader: Any, path: str) -> list[tuple[str, str]]:  # noqa: ANN401
    """What the library finds incompatible, at the innermost place and in the words of a class."""
    result = _avro()[1].ReaderWriterCompatibilityChecker().get_compatibility(reader, writer)
    if result.compatibility.value == "compatible":
        return []
    found = []
    if reader.type == writer.type == "record":
        written = {field.name for field in writer.fields}
        found = [
            (f"{path}.{field.name}".lstrip("."), "is new and has no default: give it one")
            for field in reader.fields
            if field.name not in written and not field.has_default
        ]
    for theirs, ours, at in _parts(writer, reader, path):
        found += _structure(theirs, ours, at)
    library = "; ".join(sorted(str(message) for message in result.messages))
    return found or [(path, f"{_change(writer, reader) or library}: {_MEND}")]


def _parts(writer: Any, reader: Any, path: str) -> list[tuple[Any, Any, str]]:  # noqa: ANN401
    """What of the writer is read as what of the reader, with the paths."""
    match (writer.type, reader.type):
        case ("record", "record"):
            written = {field.name: field.type for field in writer.fields}
            return [
                (written[field.name], field.type, f"{path}.{field.name}".lstrip("."))
                for field in reader.fields
                if field.name in written
            ]
        case ("array", "array"):
            return [(writer.items, reader.items, f"{path}[]")]
        case ("map", "map"):
            return [(writer.values, reader.values, f"{path}{{}}")]
        case ("union", _):
            return [(branch, reader, path) for branch in writer.schemas]
        case (kind, "union"):
            return [(writer, branch, path) for branch in reader.schemas if branch.type == kind]
    return []


def _change(writer: Any, reader: Any) -> str:  # noqa: ANN401
    """What became of a type that has no parts to blame; empty if these words lack it."""
    if writer.type != reader.type:
        now = " | ".join(each.type for each in getattr(reader, "schemas", [reader]))
        return f"was {writer.type}, is {now} now"
    if getattr(writer, "name", "") != getattr(reader, "name", ""):
        return f"was {writer.name}, is {reader.name} now"
    gone = set(getattr(writer, "symbols", ())) - set(getattr(reader, "symbols", ()))
    return f"has no {', '.join(sorted(gone))} any more" if gone else ""
