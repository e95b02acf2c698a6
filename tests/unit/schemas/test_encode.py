"""Encoding refuses what does not fit, by class, field and value, and only that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import pytest

from jobstream_schemas import DecimalSpec, EncodeError, JobCodec, Meta

NO_ID = UUID(int=0)
META = Meta("id-1", 1_790_000_000_000, "shop")


class Size(Enum):
    SMALL = 1


@dataclass(frozen=True)
class Line:
    sku: str = "a"


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


def test_a_number_too_long_to_write_out_is_named_by_its_path() -> None:
    with pytest.raises(EncodeError, match=r"Order\.whole: got a int too long to show"):
        CODEC.encode(META, Order(whole=10**5_000))


def test_an_int_is_welcome_as_a_float_and_a_subclass_as_its_base() -> None:
    args = CODEC.args(CODEC.encode(META, Express(real=3)))
    assert args == Order(real=3.0)
    assert type(args.real) is float


def test_another_class_is_refused() -> None:
    with pytest.raises(EncodeError, match="instance of Order"):
        CODEC.encode(META, cast("Order", Line()))


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
        (META._replace(expires_at=2**70), "meta.expires_at"),
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
