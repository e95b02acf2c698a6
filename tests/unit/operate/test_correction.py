"""Args corrected by the schema that wrote them: other fields keep their bytes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobstream.operate.correction import corrected_args, fields_of, value_of
from jobstream.operate.errors import CannotFix
from jobstream_schemas import JobCodec, Meta


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass(frozen=True)
class Address:
    city: str
    zip: int = 0


@dataclass(frozen=True)
class Order:
    order_id: str
    count: int
    home: Address
    away: Address
    price: Decimal = Decimal("9.90")
    at: datetime | None = None
    note: str | None = None
    ratio: float = 0.5
    gift: bool = False
    size: Size = Size.SMALL
    items: list[int] = field(default_factory=list)


CODEC = JobCodec(Order, "order")
OLD = Order("o-1", 3, Address("Rome"), Address("Oslo", 5), Decimal("1.50"), None, None)


def corrected(old: Order, **changes: object) -> Order:
    value = CODEC.encode(Meta("id-1", 1, "host"), old)
    at = CODEC.decode(value).args_bytes_at
    made = value[:at] + corrected_args(CODEC.reader, value[at:], changes)
    return CODEC.args(made)


@given(
    st.text(), st.integers(-(2**63), 2**63 - 1), st.none() | st.text(), st.lists(st.integers(0, 9))
)
def test_what_is_set_is_set_and_all_else_stays(
    order_id: str, count: int, note: str | None, items: list[int]
) -> None:
    made = corrected(OLD, order_id=order_id, count=count, note=note, items=items, size="LARGE")

    changed = {"note": note, "size": Size.LARGE, "items": items}
    assert made == replace(OLD, order_id=order_id, count=count, **changed)  # type: ignore[arg-type] # a test's shorthand
    assert str(made.price) == "1.50"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"orderid": "x"}, "no field 'orderid'; it has: order_id, count"),
        ({"count": "3"}, "order.count: the value does not fit its type, long"),
        ({"count": True}, "order.count"),
        ({"count": 2**63}, "order.count"),
        ({"order_id": None}, "order.order_id: the value does not fit its type, string"),
        ({"size": "HUGE"}, "one of SMALL, LARGE"),
        ({"items": ["a"]}, "array of long"),
        ({"price": "2.00"}, "price can't be set by its schema alone: name the app as MODULE:APP"),
        ({"at": None}, "at can't be set by its schema alone"),
        ({"home": {"city": "Bonn"}}, "home can't be set"),
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_is_named_by_its_field(
    changes: dict[str, object], told: str
) -> None:
    with pytest.raises(CannotFix) as refused:
        corrected(OLD, **changes)
    assert told in str(refused.value)


@given(st.binary(max_size=80))
def test_damaged_args_are_not_corrected(raw: bytes) -> None:
    try:
        corrected_args(CODEC.reader, raw, {"order_id": "x"})
    except CannotFix:
        return
    value = CODEC.encode(Meta("id-1", 1, "host"), OLD)
    CODEC.args(value[: CODEC.decode(value).args_bytes_at] + raw)


def test_a_typed_text_is_read_by_its_fields_type() -> None:
    fields = fields_of(CODEC.schema.schema)

    assert value_of("7", fields["count"]) == 7
    assert value_of("7", fields["order_id"]) == "7"
    assert value_of("null", fields["note"]) == "null"
    assert value_of("true", fields["gift"]) is True
    assert value_of("seven", fields["count"]) == "seven"
    assert value_of("SMALL", fields["size"]) == "SMALL"
