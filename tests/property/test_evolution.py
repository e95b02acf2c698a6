"""The evolution table: what may change while jobs are queued, judged and then really decoded."""

from __future__ import annotations

import dataclasses
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import pytest

from jobstream_schemas import (
    DecimalSpec,
    DecodeError,
    JobCodec,
    Meta,
    MissingExtra,
    check,
    check_folder,
    export,
    job_schema,
)

if TYPE_CHECKING:
    from pathlib import Path

META = Meta("id-1", 1_790_000_000_000, "shop")
TWO: Any = Annotated[Decimal, DecimalSpec(9, 2)]
THREE: Any = Annotated[Decimal, DecimalSpec(9, 3)]
NOON = datetime(2020, 1, 1, 12, tzinfo=UTC)
Fields: TypeAlias = list[tuple[Any, ...]]  # as make_dataclass takes them
Values: TypeAlias = tuple[Any, ...]


def made(*fields: Any, name: str = "Thing") -> Any:  # noqa: ANN401  # as make_dataclass takes them
    return dataclasses.make_dataclass(name, fields, frozen=True)


def pair(name: str, *symbols: str) -> Any:  # noqa: ANN401  # a type made at run time
    return Enum(name, {symbol: symbol for symbol in symbols})


RG, RGB = pair("Colour", "RED", "GREEN"), pair("Colour", "RED", "GREEN", "BLUE")
OLD_LINE = made(("sku", str), name="Line")
NEW_LINE = made(("sku", str), ("count", int, 1), name="Line")
BAD_LINE = made(("sku", str), ("count", int), name="Line")

FINE: dict[str, tuple[Fields, Fields, Values]] = {
    "field added with a default": ([("a", int)], [("a", int), ("b", str, "x")], (1,)),
    "field added that may be none": ([("a", int)], [("a", int), ("b", str | None, None)], (1,)),
    "field removed": ([("a", int), ("b", str)], [("a", int)], (1, "x")),
    "fields reordered": ([("a", int), ("b", str)], [("b", str), ("a", int)], (1, "x")),
    "int to float": ([("a", int)], [("a", float)], (1,)),
    "made optional": ([("a", str)], [("a", str | None)], ("x",)),
    "bytes to str": ([("a", bytes)], [("a", str)], (b"x",)),
    "symbol added": ([("a", RG)], [("a", RGB)], (RG.RED,)),
    "nested field added": ([("a", OLD_LINE)], [("a", NEW_LINE)], (OLD_LINE("x"),)),
    "literal added": ([("a", Literal["x"])], [("a", Literal["x", "y"])], ("x",)),
    "literal opened": ([("a", Literal["x"])], [("a", str)], ("x",)),
    "list to tuple": ([("a", list[int])], [("a", tuple[int, ...])], ([1],)),
    "default of bytes": ([("a", int)], [("a", int), ("b", Decimal, Decimal("1.5"))], (1,)),
}
BROKEN: dict[str, tuple[Fields, Fields, Values, str]] = {
    "field added without a default": ([("a", int)], [("a", int), ("b", str)], (1,), "b"),
    "field renamed": ([("a", int)], [("b", int)], (1,), "b"),
    "float to int": ([("a", float)], [("a", int)], (1.5,), "a"),
    "int to str": ([("a", int)], [("a", str)], (1,), "a"),
    "no longer optional": ([("a", str | None)], [("a", str)], (None,), "a"),
    "symbol removed": ([("a", RGB)], [("a", RG)], (RGB.BLUE,), "a"),
    "nested field added": ([("a", OLD_LINE)], [("a", BAD_LINE)], (OLD_LINE("x"),), "a.count"),
    "literal removed": ([("a", Literal["x", "y"])], [("a", Literal["x"])], ("y",), "a"),
    "str to literal": ([("a", str)], [("a", Literal["x"])], ("y",), "a"),
    "decimal scale": ([("a", TWO)], [("a", THREE)], (Decimal(1),), "a"),
    "decimal scale in a list": ([("a", list[TWO])], [("a", list[THREE])], ([Decimal(1)],), "a[]"),
    "date to datetime": ([("a", date)], [("a", datetime)], (NOON.date(),), "a"),
    "datetime to int": ([("a", datetime)], [("a", int)], (NOON,), "a"),
    "int to datetime": ([("a", int)], [("a", datetime | None)], (1,), "a"),
}


@pytest.mark.parametrize("case", FINE)
def test_a_fine_change_is_said_to_be_fine_and_decodes(case: str) -> None:
    before, after, values = FINE[case]
    old, new = JobCodec(made(*before), "job"), JobCodec(made(*after), "job")
    value = old.encode(META, old.cls(*values))
    assert check(old.schema.schema, new.schema.schema, "job") == []
    args = old.reader.args(value, old.decode(value).args_bytes_at, new)
    assert dataclasses.is_dataclass(args)


@pytest.mark.parametrize("case", BROKEN)
def test_a_breaking_change_is_found_at_its_field_and_does_not_decode(case: str) -> None:
    before, after, values, where = BROKEN[case]
    old, new = JobCodec(made(*before), "job"), JobCodec(made(*after), "job")
    value = old.encode(META, old.cls(*values))
    found = check(old.schema.schema, new.schema.schema, "job")
    assert [finding.path for finding in found] == [f"args.{where}"]
    assert all(finding.is_breaking and finding.message for finding in found)
    with pytest.raises(DecodeError):
        old.reader.args(value, old.decode(value).args_bytes_at, new)


def test_the_default_of_a_new_field_is_the_declared_one() -> None:
    old = JobCodec(made(("a", int)), "job")
    new = JobCodec(made(("a", int), ("b", Decimal, Decimal("1.5")), ("c", RG, RG.GREEN)), "job")
    value = old.encode(META, old.cls(1))
    args = old.reader.args(value, old.decode(value).args_bytes_at, new)
    assert (args.b, args.c) == (Decimal("1.5"), RG.GREEN)


def test_without_the_avro_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = job_schema(made(("a", int)), "job").schema
    monkeypatch.setitem(sys.modules, "avro.compatibility", None)
    with pytest.raises(MissingExtra, match=r"pip install jobstream\[worker\]"):
        check(schema, schema, "job")


def test_a_folder_remembers_what_is_queued(tmp_path: Path) -> None:
    folder = tmp_path / "exported"
    old = job_schema(made(("a", int)), "job")
    other = job_schema(made(("a", int)), "shop.other-job")
    assert export([old, other], folder) == [folder / "job.avsc", folder / "shop.other-job.avsc"]
    assert check_folder([old, other], folder) == []

    newer = job_schema(made(("a", int)), "newer")
    changed = job_schema(made(("b", int)), "job")
    kinds = [(f.job_type, f.kind, f.is_breaking) for f in check_folder([changed, newer], folder)]
    assert kinds == [("job", "structure", True), ("newer", "new", False)]

    (folder / "job.avsc").write_text("{")
    assert [f.kind for f in check_folder([old], folder)] == ["unreadable"]
