"""Keys of a job: the texts they become, and the declarations that are refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

import pytest

from jobstream_processors.core.job_keys import KEY_BYTES_MAX, JobKeys, KeyRules
from jobstream_processors.core.limit_rule import Limit, RateOf, check_limits, is_pinned
from jobstream_processors.errors import InvalidOption
from jobstream_schemas import JobCodec, Secret


class Plan(Enum):
    FREE = "f"


@dataclass(frozen=True)
class Order:
    tenant: str = "t-1"
    number: int = 7
    express: bool = True
    plan: Plan = Plan.FREE
    how: Literal["post", "van"] = "van"
    ident: UUID = UUID(int=1)  # noqa: RUF009 - a constant
    day: date = date(2026, 1, 31)
    at: datetime = datetime(2026, 1, 31, 12, tzinfo=UTC)
    price: Decimal = Decimal("1.50")
    shop: str | None = None
    weight: float = 1.0
    card: Annotated[str, Secret] = ""
    tags: tuple[str, ...] = ()


FIELDS = JobCodec(Order, "ship").shape.key_fields()


def keys(**rules: tuple[str, ...]) -> JobKeys:
    return JobKeys("ship", FIELDS, KeyRules(**rules))


def test_a_key_is_the_json_list_of_the_values_of_its_fields() -> None:
    order_by = ("tenant", "number", "express", "plan", "how", "ident", "day", "at", "price", "shop")
    made = keys(order=order_by).of(Order(tenant='a"ü'), None)
    assert made.order == (
        '["a\\"ü",7,true,"FREE","van","00000000-0000-0000-0000-000000000001","2026-01-31",'
        '"2026-01-31T12:00:00+00:00","1.5",null]'
    )
    assert made == (made.order, None, None, None, made.order)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Order(price=Decimal("1.50")), Order(price=Decimal("1.5000"))),
        (Order(price=Decimal("-0.0")), Order(price=Decimal(0))),
        (Order(price=Decimal("1E+3")), Order(price=Decimal(1000))),
        (
            Order(at=datetime(2026, 1, 31, 12, tzinfo=UTC)),
            Order(at=datetime(2026, 1, 31, 14, tzinfo=timezone(timedelta(hours=2)))),
        ),
    ],
)
def test_equal_values_make_equal_keys(one: Order, other: Order) -> None:
    made = keys(order=("price", "at"))
    assert made.of(one, None) == made.of(other, None)


def test_a_list_of_two_texts_is_no_other_list() -> None:
    made = keys(order=("tenant", "shop"))
    assert made.of(Order("a,b", shop="c"), None) != made.of(Order("a", shop="b,c"), None)


def test_keys_of_one_type_are_not_those_of_another() -> None:
    made = keys(unique=("tenant", "number"), limit=("tenant",), fair=("shop",))
    assert made.of(Order(), None) == (None, 'ship["t-1",7]', 'ship["t-1"]', "[null]", '["t-1"]')


def test_the_coarsest_key_chooses_the_partition_and_order_comes_first() -> None:
    nested = keys(order=("tenant", "number"), unique=("number", "tenant", "day"), limit=("tenant",))
    assert nested.of(Order(), None).message == '["t-1"]'
    alike = keys(order=("number", "tenant"), limit=("tenant", "number"))
    assert alike.of(Order(), None).message == '[7,"t-1"]'
    assert keys(fair=("tenant",)).of(Order(), "mine")[0] == "mine"
    assert keys(fair=("tenant",)).of(Order(), "mine").message == "mine"
    assert keys(fair=("tenant",)).of(Order(), None).message is None


def test_a_pinned_type_has_one_message_key() -> None:
    made = JobKeys("ship", FIELDS, KeyRules(order=("tenant",)), pinned=True)
    assert made.of(Order(), None) == ('["t-1"]', None, None, None, "ship")
    free = JobKeys("ship", FIELDS, KeyRules(), pinned=True)
    assert free.of(Order(), "mine") == ("mine", None, None, None, "ship")


def test_a_long_key_is_hashed_and_stays_itself() -> None:
    made = keys(order=("tenant",))
    long, longer = Order(tenant="ü" * 200), Order(tenant="ü" * 201)
    assert made.of(long, None).order != made.of(longer, None).order
    key = made.of(long, None).order
    assert key is not None
    assert key.startswith("sha256:")
    assert len(key) == 47
    short = made.of(Order(tenant="x" * (KEY_BYTES_MAX - 4)), None).order
    assert short is not None
    assert len(short.encode()) == KEY_BYTES_MAX


def test_a_key_of_the_caller_is_refused_where_the_type_makes_them() -> None:
    for made in (keys(order=("tenant",)), keys(unique=("tenant",)), keys(limit=("tenant",))):
        with pytest.raises(InvalidOption, match=r"key='mine' is refused.*order_by="):
            made.of(Order(), "mine")


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            {"order": ("tenat",)},
            r"order_by \('tenat',\): .*no field 'tenat'; did you mean 'tenant'",
        ),
        ({"unique": ("nothing like it",)}, "unique by .*they have tenant, number"),
        ({"limit": ("weight",)}, "limits per .*'weight' is a float"),
        ({"fair": ("card",)}, "fair_by .*'card' is secret"),
        ({"fair": ("tags",)}, "fair_by .*'tags' has parts"),
        (
            {"order": ("tenant",), "unique": ("number",)},
            r"order_by \('tenant',\) and unique by \('number',\) do not nest.*add tenant to unique",
        ),
        (
            {"order": ("tenant", "number"), "limit": ("tenant", "day")},
            "do not nest.*add number to limits per",
        ),
    ],
)
def test_what_cannot_make_keys_is_refused(rules: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        keys(**rules)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give concurrency= or rate="),
        ({"concurrency": 1, "rate": "1/s"}, "give concurrency= or rate="),
        ({"concurrency": 0}, "concurrency=0 is outside.*pause"),
        ({"concurrency": True}, "concurrency=True is not a whole number: write it as in"),
        ({"concurrency": "5"}, "concurrency='5' is not a whole number: .*concurrency=5"),
        ({"rate": "1/s", "burst": True}, "burst=True is not a whole number"),
        ({"concurrency": 10_000_001}, "concurrency=10000001 is outside 1 .. 10,000,000"),
        ({"concurrency": 1, "burst": 2}, "burst= goes with rate="),
        ({"rate": "0/s"}, "rate=0 is outside"),
        ({"rate": "100"}, "rate='100': write a count and a unit"),
        ({"rate": "100/y"}, "unit of time"),
        ({"rate": 100}, "unit of time"),
        ({"rate": "1/0s"}, "time is outside"),
        ({"rate": "1/s", "burst": 0}, "burst=0"),
        ({"rate": "1/s", "per": ()}, r"per=\(\): give the name of a field"),
        ({"rate": "1/s", "per": ("a", "a")}, "names 'a' twice"),
    ],
)
def test_what_is_no_limit_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        Limit(**given)  # type: ignore[arg-type]  # wrong on purpose


def test_a_rate_is_read() -> None:
    assert Limit(rate="100/m").parsed == RateOf(100, 60_000)
    assert Limit(rate="20 / 10s").parsed == RateOf(20, 10_000)
    assert Limit(rate="5/ms", per="a").fields == ("a",)


def test_limits_of_one_type_count_by_the_same_fields() -> None:
    assert check_limits([Limit(rate="1/s", per=("a", "b")), Limit(concurrency=2, per=("b", "a"))])
    with pytest.raises(InvalidOption, match=r"per=\('a',\) and per=\('b',\) differ"):
        check_limits([Limit(rate="1/s", per="a"), Limit(concurrency=2), Limit(rate="2/s", per="b")])
    for wrong in ("x", 5, ["x"]):
        with pytest.raises(InvalidOption, match="Limit"):
            check_limits(wrong)


@pytest.mark.parametrize(
    ("limit", "pinned"),
    [
        (Limit(concurrency=11), True),
        (Limit(concurrency=12), False),
        (Limit(concurrency=1, per="a"), False),
        (Limit(rate="11/s"), True),
        (Limit(rate="100/s"), False),
        (Limit(rate="100/s", burst=2), True),
    ],
)
def test_a_limit_that_no_partition_can_share_pins_its_type(limit: Limit, *, pinned: bool) -> None:
    assert is_pinned([limit], 12) is pinned
