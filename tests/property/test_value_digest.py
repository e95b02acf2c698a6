"""What a child's id is made of: the same for one value in every version, another for another."""

from __future__ import annotations

import math
from dataclasses import field, make_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobstream_schemas import JobCodec

LONGS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(max_size=5)
KINDS: dict[Any, st.SearchStrategy[Any]] = {
    int: LONGS,
    float: st.floats(),
    str: TEXTS,
    bool: st.booleans(),
    bytes: st.binary(max_size=5),
    UUID: st.uuids(),
    date: st.dates(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    Decimal: st.decimals(-(10**9), 10**9, places=3),
    list[int]: st.lists(LONGS, max_size=3),
    dict[str, int]: st.dictionaries(TEXTS, LONGS, max_size=3),
    str | None: st.none() | TEXTS,
}
NEW_FIELDS: tuple[tuple[Any, ...], ...] = (
    ("new_text", str, "x"),
    ("new_none", int | None, None),
    ("new_nan", float, math.nan),
    ("new_list", list[str], field(default_factory=list)),
    ("new_words", list[str], field(default_factory=lambda: ["web"])),
    ("new_map", dict[str, int], field(default_factory=lambda: {"b": 1, "a": 2})),
)


class Sizes:
    class Small(Enum):
        SMALL = 1

    class Tiny(Enum):
        SMALL = 2

    class Number(IntEnum):
        THREE = 3


def digest(fields: list[tuple[Any, ...]], **values: Any) -> bytes:  # noqa: ANN401 - as make_dataclass
    """Of args of a class made of `fields`."""
    cls = make_dataclass("Args", fields, frozen=True, kw_only=True)
    return JobCodec(cls, "job").value_digest(cls(**values))


@given(st.data())
def test_fields_more_in_any_place_leave_it_as_it_is(data: st.DataObject) -> None:
    hints = data.draw(st.dictionaries(st.sampled_from("abcd"), st.sampled_from([*KINDS])))
    values = {name: data.draw(KINDS[hint]) for name, hint in hints.items()}
    before: list[tuple[Any, ...]] = list(hints.items())
    after = data.draw(st.permutations([*before, *NEW_FIELDS]))
    assert digest(after, **values) == digest(before, **values)


@given(st.sampled_from([*KINDS]), st.data())
def test_it_tells_values_apart(hint: Any, data: st.DataObject) -> None:  # noqa: ANN401 - a type
    one, other = data.draw(KINDS[hint]), data.draw(KINDS[hint])
    alike = repr(one) == repr(other) or one == other
    assert (digest([("a", hint)], a=one) == digest([("a", hint)], a=other)) == alike
    # A value that is no default is told, whatever the default is.
    said = digest([("a", hint | None, None)], a=one)
    assert said == digest([("a", hint | None, None)], a=other) or not alike
    assert (said == digest([("a", hint | None, None)])) == (one is None)


@pytest.mark.parametrize(
    ("before", "after", "old", "new"),
    [
        (int, float, 3, 3.0),
        (int, float, 2**60, float(2**60)),
        (str, str | None, "x", "x"),
        (bytes, str, b"x", "x"),
        (list[int], tuple[int, ...], [1, 2], (1, 2)),
        (Decimal, Decimal, Decimal("1.50"), Decimal("1.5")),
        (dict[str, int], dict[str, int], {"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
)
def test_a_change_that_reads_old_jobs_leaves_it_as_it_is(
    before: object, after: object, old: object, new: object
) -> None:
    assert digest([("a", before)], a=old) == digest([("a", after)], a=new)


def test_names_of_classes_and_values_of_members_are_not_told() -> None:
    line, item = (make_dataclass(name, [("sku", str)]) for name in ("Line", "Item"))
    assert digest([("a", line)], a=line("x")) == digest([("a", item)], a=item("x"))
    small, tiny = Sizes.Small.SMALL, Sizes.Tiny.SMALL
    assert digest([("a", Sizes.Small)], a=small) == digest([("a", Sizes.Tiny)], a=tiny)
    assert digest([("a", int)], a=Sizes.Number.THREE) == digest([("a", int)], a=3)


def test_a_field_in_a_nested_class_is_left_out_too() -> None:
    before = make_dataclass("Line", [("sku", str)])
    after = make_dataclass("Line", [("sku", str), ("count", int, 1)])
    assert digest([("a", before)], a=before("x")) == digest([("a", after)], a=after("x"))
    assert digest([("a", before)], a=before("x")) != digest([("a", after)], a=after("x", 2))


def test_a_default_that_is_new_each_time_or_fails_is_told() -> None:
    def fails() -> int:
        message = "no"
        raise ValueError(message)

    ident = field(default_factory=uuid4)
    assert digest([("a", UUID, ident)]) != digest([("a", UUID, ident)])
    assert digest([("a", int, field(default_factory=fails))], a=1) == digest([("a", int)], a=1)
