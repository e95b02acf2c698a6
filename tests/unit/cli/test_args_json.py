"""JSON from a shell becomes the declared types, or an error that names the field."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

import pytest

from jobstream import App, Secret
from jobstream.cli.args_json import args_from, sample_args
from jobstream.cli.commands.enqueue import job_of, read_args
from jobstream.errors import ConfigError
from jobstream.operate.job_events import plain_json, read_event
from jobstream_schemas import Catalogue, JobCodec, Meta


class Size(Enum):
    SMALL = 1
    LARGE = 2


@dataclass(frozen=True)
class Line:
    sku: str
    price: Decimal
    count: int = 1


@dataclass(frozen=True)
class Order:
    ref: UUID
    day: date
    at: datetime
    lines: list[Line]
    size: Size
    level: Literal["low", "high"]
    tags: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    raw: bytes = b""
    note: str | None = None
    express: bool = False


@dataclass(frozen=True)
class Card:
    number: Annotated[str, Secret]


GOOD = {
    "ref": "00000000-0000-4000-8000-000000000001",
    "day": "2026-01-31",
    "at": "2026-01-31T12:00:00Z",
    "lines": [{"sku": "a", "price": "12.50"}, {"sku": "b", "price": 3, "count": 2}],
    "size": "LARGE",
    "level": "high",
    "tags": ["x", "y"],
    "weights": {"net": 1},
    "raw": "AAEC",
    "express": True,
}


def test_every_supported_type_is_read() -> None:
    assert args_from(Order, GOOD) == Order(
        ref=UUID("00000000-0000-4000-8000-000000000001"),
        day=date(2026, 1, 31),
        at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        lines=[Line("a", Decimal("12.50")), Line("b", Decimal(3), 2)],
        size=Size.LARGE,
        level="high",
        tags=("x", "y"),
        weights={"net": 1.0},
        raw=b"\x00\x01\x02",
        express=True,
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ref": "nonsense"}, ["Order.ref", "'nonsense'", "a UUID"]),
        ({"day": 5}, ["Order.day", "5", "2026-01-31"]),
        ({"at": "2026-01-31T12:00:00"}, ["Order.at", "zone"]),
        ({"lines": {"sku": "a"}}, ["Order.lines", "a list"]),
        ({"lines": [{"sku": "a", "price": "dear"}]}, ["Order.lines[0].price", "'dear'"]),
        ({"lines": [{"sku": "a"}]}, ["Order.lines[0].price", "missing"]),
        ({"lines": [{"sku": "a", "price": True}]}, ["Order.lines[0].price", "True"]),
        ({"lines": [{"sku": "a", "price": 1, "cuont": 2}]}, ["'cuont'", "did you mean count?"]),
        ({"lines": [{"sku": "a", "price": 1, "count": "2"}]}, ["count", "a whole number"]),
        ({"size": "HUGE"}, ["Order.size", "SMALL, LARGE"]),
        ({"level": "middle"}, ["Order.level", "low, high"]),
        ({"weights": {"net": "1"}}, ["Order.weights['net']", "a number"]),
        ({"raw": "not base64!"}, ["Order.raw", "base64"]),
        ({"express": 1}, ["Order.express", "true or false"]),
        ({"note": 1}, ["Order.note", "a text"]),
        ({"ref": None}, ["Order.ref", "None"]),
    ],
    ids=str,
)
def test_a_wrong_value_is_named_with_its_field_and_the_fix(
    change: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        args_from(Order, GOOD | change)

    assert not [word for word in words if word not in str(caught.value)], str(caught.value)


def test_a_missing_field_is_named() -> None:
    without = {name: value for name, value in GOOD.items() if name != "level"}

    with pytest.raises(ConfigError, match=r"Order\.level is missing"):
        args_from(Order, without)


def test_every_wrong_field_is_named_at_once_with_what_was_found_and_what_is_declared() -> None:
    wrong = GOOD | {
        "ref": "nonsense",
        "lines": [{"sku": 1}, {"sku": "b", "price": "3"}, {"sku": "c", "price": "dear"}],
        "weights": {"net": "heavy", "gross": 1},
        "express_": True,
    }
    del wrong["size"]

    with pytest.raises(ConfigError) as caught:
        args_from(Order, wrong)

    assert str(caught.value).splitlines() == [
        "7 fields are wrong:",
        "  Order has no field 'express_'; did you mean express?",
        "  Order.ref: got 'nonsense'; give a UUID",
        "  Order.lines[0].sku: got 1; give a text",
        '  Order.lines[0].price is missing and has no default; give a decimal, as in "12.50"',
        "  Order.lines[2].price: got 'dear'; give a decimal, as in \"12.50\"",
        "  Order.size is missing and has no default; give one of SMALL, LARGE",
        "  Order.weights['net']: got 'heavy'; give a number",
    ]


def test_a_missing_field_tells_what_is_declared_of_every_shape() -> None:
    with pytest.raises(ConfigError) as caught:
        args_from(Order, {})

    assert [line.partition("; give ")[2] for line in str(caught.value).splitlines()[1:]] == [
        "a UUID",
        "a date as in 2026-01-31",
        "a time with its zone, as in 2026-01-31T12:00:00Z",
        "a list, of an object with the fields of Line each",
        "one of SMALL, LARGE",
        "one of low, high",
    ]


def test_of_very_many_wrong_fields_not_all_are_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        args_from(Order, GOOD | {"tags": [1] * 1_000})

    first, *_, last = told = str(caught.value).splitlines()
    assert (first, last, len(told)) == ("1000 fields are wrong:", "  …", 52)


def test_a_job_type_that_is_nearly_right_is_guessed() -> None:
    app = App("shop")

    @app.job
    def send_receipt(args: Line) -> None: ...

    with pytest.raises(ConfigError, match=r"'send_recipt'; did you mean send_receipt\?"):
        job_of(app, "send_recipt")


def test_the_class_checks_itself_last() -> None:
    @dataclass(frozen=True)
    class Even:
        number: int

        def __post_init__(self) -> None:
            if self.number % 2:
                message = f"{self.number} is odd"
                raise ValueError(message)

    with pytest.raises(ConfigError, match="Even: 3 is odd"):
        args_from(Even, {"number": 3})


def test_a_class_may_refuse_values_by_any_exception() -> None:
    @dataclass(frozen=True)
    class Some:
        number: int

        def __post_init__(self) -> None:
            if not self.number:
                message = "none is too few"
                raise AssertionError(message)

    with pytest.raises(ConfigError, match="Some: AssertionError: none is too few"):
        args_from(Some, {"number": 0})


def test_a_class_that_refuses_values_tells_no_secret_within_them() -> None:
    @dataclass(frozen=True)
    class Payment:
        card: Card

        def __post_init__(self) -> None:
            message = f"{self.card.number} is blocked"
            raise ValueError(message)

    with pytest.raises(ConfigError) as caught:
        args_from(Payment, {"card": {"number": "4111"}})

    assert str(caught.value) == "Payment: its own checks refuse the values"


def test_a_number_beyond_all_floats_is_refused() -> None:
    for number in (Decimal("1e999"), Decimal("-1e999"), 10**999):
        with pytest.raises(ConfigError, match=r"Order\.weights\['net'\]: got .*; give a number"):
            args_from(Order, GOOD | {"weights": {"net": number}})
    assert args_from(Order, GOOD | {"weights": {"net": Decimal("0.1")}}).weights == {"net": 0.1}


def test_the_sample_is_accepted() -> None:
    sample = json.loads(json.dumps(sample_args(Order)))

    assert isinstance(args_from(Order, sample), Order)


def test_what_a_dead_letter_shows_can_be_enqueued() -> None:
    order = args_from(Order, GOOD)
    codec = JobCodec(Order, "order")
    catalogue = Catalogue()
    catalogue.register(codec.schema)

    event = read_event(catalogue, codec.encode(Meta("o-1", 1, "here"), order))

    assert event.job_type == "order"
    assert event.meta["id"] == "o-1"
    assert args_from(Order, json.loads(json.dumps(event.args))) == order


def test_bytes_and_times_have_a_json_form() -> None:
    assert plain_json({"b": b"\x00", "d": [date(2026, 1, 1)]}) == {"b": "AA==", "d": ["2026-01-01"]}


@pytest.mark.parametrize("password", [["hunter2"], {"hunter2": 1}, 'hunter2"'])
def test_a_secret_that_is_refused_is_not_repeated(password: object) -> None:
    @dataclass(frozen=True)
    class Login:
        password: Annotated[str, Secret]

        def __post_init__(self) -> None:
            if '"' in self.password:
                message = f"{self.password} has a quote"
                raise ValueError(message)

    with pytest.raises(ConfigError, match="Login") as refused:
        args_from(Login, {"password": password})

    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@dataclass(frozen=True)
class Paid:
    amount: Decimal
    rate: float


def test_no_digit_is_lost_on_the_way_from_the_text() -> None:
    @App("shop").job
    def pay(args: Paid) -> None: ...

    paid = read_args(pay, '{"amount": 12345678901234567.89, "rate": 0.5}')

    assert paid == Paid(Decimal("12345678901234567.89"), 0.5)
    assert type(paid.rate) is float


def test_a_number_that_is_refused_is_shown_as_it_was_given() -> None:
    with pytest.raises(ConfigError, match=r"sku: got 1\.50; give a text"):
        args_from(Line, json.loads('{"sku": 1.50, "price": 1}', parse_float=Decimal))
