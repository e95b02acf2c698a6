"""Encoding refuses what does not fit, by class, field and value, and only that."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, make_dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal, NamedTuple, cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobstream_schemas import DecimalSpec, EncodeError, JobCodec, Meta

NO_ID = UUID(int=0)
META = Meta("id-1", 1_790_000_000_000, "shop")


class Size(Enum):
    SMALL = 1


@dataclass(frozen=True)
class Line:
    sku: str = "a"


@dataclass(frozen=True)
class GiftLine(Line):
    note: str = ""


class Lines(list[Line]):
    """Such as an ORM returns."""


class Point(NamedTuple):
    x: int
    y: int


class Tagged(str):  # noqa: SLOT000 - it has attributes on purpose
    def __init__(self, _: str) -> None:
        self.tag = "t"


class Money(Decimal):
    __slots__ = ("currency",)


class Stamp(datetime):
    """With more digits than a datetime, as pandas has them."""

    def __eq__(self, other: object) -> bool:
        return type(other) is Stamp and super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = datetime.__hash__


class Word(StrEnum):
    HELLO = "hello"
    POST = "post"


class Safe(str):
    __slots__ = ()


class Number(IntEnum):
    ONE = 1


class Real(float):
    """As numpy's."""


class Raw(bytes):
    """The like."""


class OtherUUID(UUID):
    """As a database driver's."""


class Day(date):
    """As a library that fakes the time has it."""


class Faked(datetime):
    """As a library that fakes the time has it."""


@dataclass(frozen=True)
class Order:
    text: str = ""
    whole: int = 0
    real: float = 0.0
    flag: bool = False
    raw: bytes = b""
    ident: UUID = NO_ID
    price: Annotated[Decimal, DecimalSpec(5, 2)] = Decimal(0)
    day: date = date(2020, 1, 1)
    at: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    size: Size = Size.SMALL
    how: Literal["post", "van"] = "post"
    first: Line = Line()
    lines: list[Line] | None = None
    pair: tuple[int, ...] = ()
    names: dict[str, int] | None = None
    maybe: int | None = None


@dataclass(frozen=True)
class Express(Order):
    extra: int = 1


CODEC = JobCodec(Order, "order")


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("text", 5, "Order.text"),
        ("text", "\ud800", "Order.text"),
        ("text", None, "Order.text"),
        ("whole", True, "Order.whole"),
        ("whole", 2**63, "Order.whole"),
        ("whole", -(2**63) - 1, "Order.whole"),
        ("whole", 1.0, "Order.whole"),
        ("real", True, "Order.real"),
        ("real", 10**400, "Order.real"),
        ("real", Decimal(1), "Order.real"),
        ("flag", 1, "Order.flag"),
        ("raw", "text", "Order.raw"),
        ("ident", "not", "Order.ident"),
        ("price", 1.5, "Order.price"),
        ("price", Decimal("1000.00"), "Order.price"),
        ("price", Decimal("0.001"), "Order.price"),
        ("price", Decimal("NaN"), "Order.price"),
        ("price", Decimal("1E+999999"), "Order.price"),
        ("price", Decimal("1E-999999"), "Order.price"),
        ("day", datetime(2020, 1, 1, tzinfo=UTC), "Order.day"),
        ("at", datetime(2020, 1, 1), "Order.at"),  # noqa: DTZ001  # naive on purpose
        ("at", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))), "Order.at"),
        ("at", date(2020, 1, 1), "Order.at"),
        ("size", 1, "Order.size"),
        ("how", "plane", "Order.how"),
        ("how", [], "Order.how"),
        ("lines", [Line(), Line(sku=cast("str", 3))], "Order.lines[1].sku"),
        ("lines", (Line(),), "Order.lines"),
        ("pair", [1], "Order.pair"),
        ("pair", (1, "2"), "Order.pair[1]"),
        ("names", {"a": 1, "b": None}, "Order.names['b']"),
        ("names", {1: 1}, "Order.names[1]"),
        ("maybe", "x", "Order.maybe"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(field: str, value: object, path: str) -> None:
    args = Order(**cast("dict[str, Any]", {field: value}))
    with pytest.raises(EncodeError) as caught:
        CODEC.encode(META, args)
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path}: got ")


def test_every_wrong_field_is_named_at_once() -> None:
    lines = [Line(), Line(sku=cast("str", 3))]
    args = Order(how=cast("Any", "plane"), lines=lines, maybe=cast("Any", "x"))

    with pytest.raises(EncodeError) as caught:
        CODEC.encode(META, args)

    wrong = (caught.value, *caught.value.others)
    assert {each.path for each in wrong} == {"Order.how", "Order.lines[1].sku", "Order.maybe"}
    told = str(caught.value).splitlines()
    assert told[0] == "3 fields do not fit:"
    assert [line.partition(": got ")[0].strip() for line in told[1:]] == [e.path for e in wrong]


def test_a_number_too_long_to_write_out_is_named_by_its_path() -> None:
    with pytest.raises(EncodeError, match=r"Order\.whole: got a value too long to show"):
        CODEC.encode(META, Order(whole=10**5_000))


def test_an_int_is_welcome_as_a_float() -> None:
    args = CODEC.args(CODEC.encode(META, Order(real=3)))
    assert args == Order(real=3.0)
    assert type(args.real) is float


def test_another_class_is_refused_without_a_word_of_what_it_holds() -> None:
    with pytest.raises(EncodeError, match="instance of Order") as caught:
        CODEC.encode(META, cast("Order", Line("hidden")))
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("__main__", "got an instance of __main__.Order; pass an instance of {here}.Order"),
        (__name__, "pass an instance of {here}.Order as it was declared: this one is of another"),
    ],
)
def test_another_class_of_the_same_name_is_told_apart(module: str, told: str) -> None:
    twin = make_dataclass("Order", [], namespace={"__module__": module})
    with pytest.raises(EncodeError, match=re.escape(told.format(here=__name__))):
        CODEC.encode(META, twin())


@pytest.mark.parametrize(
    ("args", "path", "found", "declared"),
    [
        (Express(extra=7), "Order", "Express", "Order"),
        (Order(first=GiftLine("b", "for you")), "Order.first", "GiftLine", "Line"),
        (Order(lines=[Line(), GiftLine()]), "Order.lines[1]", "GiftLine", "Line"),
        (Order(lines=Lines([Line()])), "Order.lines", "Lines", "list"),
        (Order(pair=Point(1, 2)), "Order.pair", "Point", "tuple"),
        (Order(names=defaultdict(int)), "Order.names", "defaultdict", "dict"),
        (Order(text=Tagged("x")), "Order.text", "Tagged", "str"),
        (Order(price=Money("1")), "Order.price", "Money", "Decimal"),
        (Order(at=Stamp(2020, 1, 1, tzinfo=UTC)), "Order.at", "Stamp", "datetime"),
    ],
)
def test_a_subclass_that_would_lose_something_is_refused_by_name(
    args: Order, path: str, found: str, declared: str
) -> None:
    with pytest.raises(EncodeError) as caught:
        CODEC.encode(META, args)
    assert str(caught.value) == (
        f"{path}: got an instance of {found}; pass an instance of exactly {declared}:"
        " what a subclass adds would be lost"
    )


@pytest.mark.parametrize(
    ("field", "value", "plain"),
    [
        ("text", Word.HELLO, "hello"),
        ("text", Safe("x"), "x"),
        ("whole", Number.ONE, 1),
        ("real", Number.ONE, 1.0),
        ("real", Real(1.5), 1.5),
        ("raw", Raw(b"x"), b"x"),
        ("how", Word.POST, "post"),
        ("ident", OtherUUID(int=5), UUID(int=5)),
        ("day", Day(2020, 2, 2), date(2020, 2, 2)),
        ("at", Faked(2020, 2, 2, tzinfo=UTC), datetime(2020, 2, 2, tzinfo=UTC)),
    ],
)
def test_a_scalar_of_a_subclass_that_adds_nothing_is_written_as_what_it_is(
    field: str, value: object, plain: object
) -> None:
    args = Order(**cast("dict[str, Any]", {field: value}))
    found = getattr(CODEC.args(CODEC.encode(META, args)), field)
    assert found == plain
    assert type(found) is type(plain)


@given(st.integers(-(2**70), 2**70))
def test_an_int_in_a_float_field_comes_back_equal_or_is_refused(value: int) -> None:
    try:
        encoded = CODEC.encode(META, Order(real=value))
    except EncodeError as error:
        assert error.path == "Order.real"  # noqa: PT017 - both ends are fine
        assert float(value) != value
    else:
        assert CODEC.args(encoded).real == value


@pytest.mark.parametrize(
    ("meta", "path"),
    [
        (META._replace(id="a b"), "meta.id"),
        (META._replace(id=""), "meta.id"),
        (META._replace(id="x" * 129), "meta.id"),
        (META._replace(id=cast("str", 5)), "meta.id"),
        (META._replace(enqueued_at=cast("int", 1.5)), "meta.enqueued_at"),
        (META._replace(source=cast("str", None)), "meta.source"),
        (META._replace(order_key=cast("str", 7)), "meta.order_key"),
        (META._replace(expires_in_ms=2**70), "meta.expires_in_ms"),
        (META._replace(correlation_id="\udfff"), "meta.correlation_id"),
    ],
)
def test_wrong_meta_is_named_by_its_field(meta: Meta, path: str) -> None:
    with pytest.raises(EncodeError) as caught:
        CODEC.encode(meta, Order())
    assert caught.value.path == path


@pytest.mark.parametrize("price", ["999.99", "-999.99", "-1.28", "1.27", "0", "1E+2", "1.500"])
def test_decimals_that_fit_come_back_exactly(price: str) -> None:
    args = Order(price=Decimal(price))
    assert CODEC.args(CODEC.encode(META, args)).price == Decimal(price)
