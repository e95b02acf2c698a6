"""A dataclass becomes the expected Avro record, or is refused by class, field and type."""

from __future__ import annotations

import dataclasses
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, Flag
from typing import Annotated, Any, Literal, NewType
from uuid import UUID, uuid4

import pytest

from jobstream_schemas import (
    DecimalSpec,
    SchemaRefused,
    UnsupportedType,
    args_schema,
    job_schema,
)

NO_ID = UUID(int=0)
OrderId = NewType("OrderId", str)


class Size(Enum):
    SMALL = 1
    LARGE = 2


@dataclass(frozen=True)
class Address:
    street: str
    number: int = 1


@dataclass(frozen=True)
class Order:
    order_id: OrderId
    ship_to: Address
    bill_to: Address | None
    price: Annotated[Decimal, DecimalSpec(12, 2)] = Decimal("1.50")
    size: Size = Size.LARGE
    how: Literal["post", "van"] = "post"
    day: date = date(1970, 1, 3)
    at: datetime = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    raw: bytes = b"\xff"
    weight: float = 1
    ident: UUID = NO_ID
    tags: list[str] = field(default_factory=list)
    home: Address = Address("x")
    pair: tuple[int, ...] = (1, 2)
    unsaid: str | None = None
    said: int | None = 5
    token: UUID = field(default_factory=uuid4)
    odd: float = float("nan")


def test_every_type_and_default_has_its_avro_form() -> None:
    schema = args_schema(Order, name="shop.place-order")
    fields = {each["name"]: each for each in schema["fields"]}

    assert (schema["name"], schema["namespace"]) == ("Args", "shop.place_order")
    assert fields["order_id"]["type"] == "string"
    assert fields["ship_to"]["type"]["name"] == "Address"
    assert fields["bill_to"]["type"] == ["null", "Address"]
    assert fields["price"]["type"]["precision"] == 12
    assert fields["how"]["type"] == {"type": "string", "jobstream.literal": ["post", "van"]}
    assert fields["at"]["type"]["logicalType"] == "timestamp-micros"
    assert fields["said"] == {"name": "said", "type": ["long", "null"], "default": 5}
    defaults = {name: each["default"] for name, each in fields.items() if "default" in each}
    assert defaults == {
        "price": "\x00\x96",
        "size": "LARGE",
        "how": "post",
        "day": 2,
        "at": 1_000_000,
        "raw": "\xff",
        "weight": 1.0,
        "ident": str(NO_ID),
        "tags": [],
        "home": {"street": "x", "number": 1},
        "pair": [1, 2],
        "unsaid": None,
        "said": 5,
    }


def test_the_schema_of_a_job_keeps_its_exact_name_and_is_deterministic() -> None:
    first, second = job_schema(Order, "shop.place-order"), job_schema(Order, "shop.place-order")

    assert first == second
    assert first.schema["name"] == "shop.place_order"
    assert first.schema["jobstream.type"] == first.job_type == "shop.place-order"
    assert len(first.fingerprint) == 8


def declared(annotation: object, **options: object) -> type:
    return dataclasses.make_dataclass("Thing", [("part", annotation, field(**options))])  # type: ignore[call-overload]


Strange = Enum("Strange", {"größe": 1})


class Bits(Flag):
    A = 1


class Empty(Enum):
    pass


@pytest.mark.parametrize(
    ("annotation", "hint"),
    [
        (set[str], "set"),
        (list, "list[T]"),
        (dict[int, str], "dict[str, T]"),
        (tuple[int, str], "tuple[T, ...]"),
        (int | str, "int | str"),
        (Any, "concrete"),
        (object, "concrete"),
        (complex, "two float"),
        (Literal[1], "Literal"),
        (Bits, "plain Enum"),
        (Empty, "plain Enum"),
        (Strange, "plain Enum"),
    ],
)
def test_other_types_are_refused_by_name(annotation: object, hint: str) -> None:
    with pytest.raises(UnsupportedType, match=r"Thing\.part") as caught:
        args_schema(declared(annotation), name="t")
    assert hint in str(caught.value)


def test_a_default_of_another_type_is_refused() -> None:
    with pytest.raises(UnsupportedType, match=r"Thing\.part: default"):
        args_schema(declared(int, default="five"), name="t")


def test_a_field_outside_the_constructor_is_refused() -> None:
    with pytest.raises(UnsupportedType, match="init"):
        args_schema(declared(int, init=False, default=1), name="t")
    with pytest.raises(UnsupportedType, match="InitVar"):
        args_schema(declared(InitVar[int]), name="t")


def test_a_class_that_is_no_dataclass_is_refused() -> None:
    with pytest.raises(UnsupportedType, match="give a dataclass"):
        args_schema(dict, name="t")


@dataclass(frozen=True)
class Node:
    children: list[Node]


def test_a_class_that_contains_itself_is_refused() -> None:
    with pytest.raises(SchemaRefused, match="Node contains itself"):
        args_schema(Node, name="t")


def test_two_classes_of_one_name_are_refused() -> None:
    other = dataclasses.make_dataclass("Address", [("zip", str)])
    both = dataclasses.make_dataclass("Both", [("one", Address), ("two", other)])
    with pytest.raises(UnsupportedType, match="two classes are called Address"):
        args_schema(both, name="t")
    inner = dataclasses.make_dataclass("Args", [("zip", str)])
    with pytest.raises(UnsupportedType, match="called Args"):
        args_schema(declared(inner), name="t")


def test_items_without_bytes_are_refused() -> None:
    nothing: Any = dataclasses.make_dataclass("Nothing", [])
    assert job_schema(nothing, "t").job_type == "t"
    with pytest.raises(SchemaRefused, match="at least one byte"):
        job_schema(declared(list[nothing]), "t")


@pytest.mark.parametrize("name", ["", "1st", "a b", "a..b", "a.", ".a", "a.1", "ä", "a\n"])
def test_names_that_avro_cannot_carry_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedType, match="job name"):
        args_schema(Address, name=name)


@pytest.mark.parametrize(("precision", "scale"), [(0, 0), (2, 3), (5, -1), (1001, 0)])
def test_impossible_decimals_are_refused(precision: int, scale: int) -> None:
    with pytest.raises(UnsupportedType, match="precision"):
        DecimalSpec(precision, scale)


@pytest.mark.parametrize("name", ["string", "long", "null"])
def test_a_class_named_as_a_type_of_avro_is_refused(name: str) -> None:
    for named in (dataclasses.make_dataclass(name, [("v", int)]), Enum(name, ["A"])):
        with pytest.raises(UnsupportedType, match=f"class {name}: .* rename the class"):
            job_schema(declared(named), "t")
