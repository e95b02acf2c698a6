"""The evolution table: what may change while jobs are queued, judged and then really decoded."""

from __future__ import annotations

import dataclasses
import math
import sys
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias
from uuid import UUID, uuid4

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from jobstream_schemas import (
    DecimalSpec,
    DecodeError,
    JobCodec,
    Meta,
    MissingExtra,
    SchemaMismatch,
    UnsupportedType,
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


def made(*fields: Any, name: str = "Thing", kw_only: bool = False) -> Any:  # noqa: ANN401  # as make_dataclass takes them
    return dataclasses.make_dataclass(name, fields, frozen=True, kw_only=kw_only)


def pair(name: str, *symbols: str) -> Any:  # noqa: ANN401  # a type made at run time
    return Enum(name, {symbol: symbol for symbol in symbols})


RG: Any = pair("Colour", "RED", "GREEN")
RGB: Any = pair("Colour", "RED", "GREEN", "BLUE")
OLD_LINE: Any = made(("sku", str), name="Line")
NEW_LINE: Any = made(("sku", str), ("count", int, 1), name="Line")
BAD_LINE: Any = made(("sku", str), ("count", int), name="Line")
MAKES_LIST: Any = field(default_factory=lambda: [1, 2])
TAGGED: Any = made(
    ("sku", str), ("tags", list[str], field(default_factory=lambda: ["new"])), name="Line"
)
LINES: Any = list[TAGGED]
MAYBE_LINE: Any = TAGGED | None
COLOURS: Any = tuple[RGB, ...]
OLD_LINES: Any = list[OLD_LINE]

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
    "default made anew": ([("a", int)], [("a", int), ("b", list[int], MAKES_LIST)], (1,)),
    "default of an id": (
        [("a", int)],
        [("a", int), ("b", UUID, field(default_factory=uuid4))],
        (1,),
    ),
    "default of no JSON": ([("a", int)], [("a", int), ("b", float, math.nan)], (1,)),
    "default made in a list": ([("a", OLD_LINES)], [("a", LINES)], ([OLD_LINE("x")],)),
    "default made, optional": ([("a", OLD_LINE | None, None)], [("a", TAGGED | None, None)], ()),
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
    "bytes to literal": ([("a", bytes)], [("a", Literal["x"])], (b"y",), "a"),
    "decimal scale": ([("a", TWO)], [("a", THREE)], (Decimal(1),), "a"),
    "decimal scale in a list": ([("a", list[TWO])], [("a", list[THREE])], ([Decimal(1)],), "a[]"),
    "date to datetime": ([("a", date)], [("a", datetime)], (NOON.date(),), "a"),
    "datetime to int": ([("a", datetime)], [("a", int)], (NOON,), "a"),
    "int to datetime": ([("a", int)], [("a", datetime | None)], (1,), "a"),
    "no longer optional, with a default": (
        [("a", list[int] | None)],
        [("a", list[int], MAKES_LIST)],
        (None,),
        "a",
    ),
    "nested class renamed": ([("a", OLD_LINE)], [("a", made(("sku", str)))], (OLD_LINE("x"),), "a"),
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
    at = old.decode(value).args_bytes_at
    with pytest.raises(SchemaMismatch, match="args"):
        old.reader.args(value, at, new)
    # A repeat says the same, and damage is told apart whatever the schemas are.
    with pytest.raises(SchemaMismatch):
        old.reader.args(value, at, new)
    for damaged in (value[:-1], value + b"\x00"):
        with pytest.raises(DecodeError) as caught:
            old.reader.args(damaged, at, new)
        assert type(caught.value) is DecodeError


def test_the_default_of_a_new_field_is_the_declared_one() -> None:
    old = JobCodec(made(("a", int)), "job")
    new = JobCodec(made(("a", int), ("b", Decimal, Decimal("1.5")), ("c", RG, RG.GREEN)), "job")
    value = old.encode(META, old.cls(1))
    args = old.reader.args(value, old.decode(value).args_bytes_at, new)
    assert (args.b, args.c) == (Decimal("1.5"), RG.GREEN)


def test_a_default_is_built_as_python_builds_it() -> None:
    old = JobCodec(made(("a", OLD_LINE)), "job")
    new = JobCodec(made(("a", TAGGED), ("b", list[int], MAKES_LIST), ("c", float, math.nan)), "job")
    value = old.encode(META, old.cls(OLD_LINE("x")))
    at = old.decode(value).args_bytes_at
    first, second = (old.reader.args(value, at, new) for _ in range(2))
    assert (first.a, first.b) == (TAGGED("x", ["new"]), [1, 2])
    assert math.isnan(first.c)
    assert first.b is not second.b
    assert first.a.tags is not second.a.tags


def test_an_int_that_no_float_can_hold_is_not_rounded() -> None:
    old, new = JobCodec(made(("a", int)), "job"), JobCodec(made(("a", float)), "job")
    value = old.encode(META, old.cls(2**53 + 1))
    with pytest.raises(SchemaMismatch, match="no 64-bit float"):
        old.reader.args(value, old.decode(value).args_bytes_at, new)


def test_what_the_class_itself_refuses_is_no_damage_where_another_schema_wrote_it() -> None:
    @dataclass(frozen=True)
    class Strict:
        a: int
        b: str = ""

        def __post_init__(self) -> None:
            if self.a > 1:
                message = "too many"
                raise ValueError(message)

    old, new = JobCodec(made(("a", int)), "job"), JobCodec(Strict, "job")
    value = old.encode(META, old.cls(2))
    with pytest.raises(SchemaMismatch, match="ValueError: too many"):
        old.reader.args(value, old.decode(value).args_bytes_at, new)


HINTS: list[Any] = [
    int, float, str, bytes, bool, UUID, date, datetime, TWO, THREE, RG, RGB, Literal["x"],
    Literal["x", "y"], int | None, list[int], dict[str, str], OLD_LINE, NEW_LINE, BAD_LINE,
    LINES, MAYBE_LINE, COLOURS,
]  # fmt: skip
LONGS = st.integers(-(2**63), 2**63 - 1)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    float: st.floats(-1, 1),
    int: LONGS,
    list[int]: st.lists(LONGS, max_size=3),
    NEW_LINE: st.builds(NEW_LINE, st.text(), LONGS),
    BAD_LINE: st.builds(BAD_LINE, st.text(), LONGS),
    datetime: st.just(NOON),
    TWO: st.just(Decimal("1.25")),
    THREE: st.just(Decimal("1.125")),
    int | None: st.none() | st.integers(0, 9),
    MAYBE_LINE: st.none() | st.builds(TAGGED, st.text()),
}
DEFAULTS = (None, "constant", "made")


@st.composite
def classes(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    """A version of the args, and the types of its fields."""
    hints = draw(st.dictionaries(st.sampled_from("abcd"), st.sampled_from(HINTS), max_size=4))
    fields: list[tuple[Any, ...]] = []
    for name, hint in hints.items():
        makes = draw(st.sampled_from(DEFAULTS))
        value = draw(VALUES.get(hint, st.from_type(hint)))
        is_mutable = isinstance(value, (list, dict))
        if makes == "made" or (makes and is_mutable):
            fields.append((name, hint, field(default_factory=partial(copy, value))))
        else:
            fields.append((name, hint, field(default=value)) if makes else (name, hint))
    return made(*fields, kw_only=True), hints


@given(classes(), classes(), st.data())
@settings(max_examples=300)
def test_any_two_versions_read_each_others_jobs_or_say_that_they_do_not_fit(
    one: tuple[Any, dict[str, Any]], other: tuple[Any, dict[str, Any]], data: st.DataObject
) -> None:
    """An old job and new code, or a new job and old code: which is which makes no difference."""
    (writes, hints), (reads, known) = one, other
    try:
        writer, reader = JobCodec(writes, "job"), JobCodec(reads, "job")
    except UnsupportedType:
        reject()  # two classes of one name
    given_ = {name: data.draw(VALUES.get(hint, st.from_type(hint))) for name, hint in hints.items()}
    value = writer.encode(META, writes(**given_))
    findings = check(writer.schema.schema, reader.schema.schema, "job")
    at = writer.decode(value).args_bytes_at
    try:
        found = writer.reader.args(value, at, reader)
    except SchemaMismatch as error:
        is_exact = "no 64-bit float" not in str(error) and "UnicodeDecodeError" not in str(error)
        assert findings or not is_exact, "what a check calls fine is read"
    else:
        for name in hints.keys() & known.keys():
            if hints[name] is known[name]:
                assert getattr(found, name) == given_[name]
        for name in known.keys() - hints.keys():
            assert repr(getattr(found, name)) == repr(
                getattr(reads(**defaulted(reads, found)), name)
            )


def defaulted(cls: Any, found: Any) -> dict[str, Any]:  # noqa: ANN401 - made at run time
    """The arguments that a call of the class needs."""
    needed = (f for f in dataclasses.fields(cls) if f.default is f.default_factory)
    return {each.name: getattr(found, each.name) for each in needed}


def test_without_the_avro_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = job_schema(made(("a", int)), "job").schema
    monkeypatch.setitem(sys.modules, "avro.compatibility", None)
    with pytest.raises(MissingExtra, match=r"pip install 'jobstream\[worker\]'"):
        check(schema, schema, "job")


@pytest.mark.parametrize(
    ("before", "now", "path", "told"),
    [
        (RGB, RG, "args.a", "has no BLUE any more"),
        (RGB | None, RG | None, "args.a", "has no BLUE any more"),
        (list[RGB], list[RG], "args.a[]", "has no BLUE any more"),
        (dict[str, RGB], dict[str, RG], "args.a{}", "has no BLUE any more"),
        (RG, pair("Hue", "RED", "GREEN"), "args.a", "was Colour, is Hue now"),
        (int, str, "args.a", "was long, is string now"),
        (int, str | None, "args.a", "was long, is null | string now"),
        (OLD_LINE, BAD_LINE, "args.a.count", "is new and has no default"),
        (OLD_LINE | None, BAD_LINE | None, "args.a.count", "is new and has no default"),
        (list[OLD_LINE], list[BAD_LINE], "args.a[].count", "is new and has no default"),
    ],
)
def test_a_finding_tells_where_and_what_became_of_it(
    before: Any,  # noqa: ANN401  # a type made at run time
    now: Any,  # noqa: ANN401  # likewise
    path: str,
    told: str,
) -> None:
    old, new = (job_schema(made(("a", of)), "job").schema for of in (before, now))

    [found] = check(old, new, "job")

    assert (found.path, found.message.partition(":")[0]) == (path, told)


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

    (folder / "job.avsc").write_text(old.json.replace('"type":"long"', '"order":"x","type":"long"'))
    assert [f.kind for f in check_folder([old], folder)] == ["unreadable"]
