"""Decimals come back as they went, places included; foreign Avro readers see the same numbers."""

from __future__ import annotations

from dataclasses import make_dataclass
from decimal import Context, Decimal
from io import BytesIO
from typing import Annotated, Any

import avro.io
import fastavro
from hypothesis import example, given
from hypothesis import strategies as st

from jobstream.operate.job_events import read_event
from jobstream_schemas import Catalogue, DecimalSpec, JobCodec, Meta
from jobstream_schemas.shapes.decimals import decimal_bytes, decimal_of

META = Meta("id", 1, "s")
WIDE = Context(prec=2_000)
SPECS = st.integers(1, 60).flatmap(
    lambda precision: st.builds(DecimalSpec, st.just(precision), st.integers(0, precision))
)


@st.composite
def fitting(draw: st.DrawFn) -> tuple[DecimalSpec, Decimal]:
    """Digits and places of any number that a spec holds, exponents above 0 included."""
    spec = draw(SPECS)
    exponent = draw(st.integers(-spec.scale, spec.precision - spec.scale))
    digits = spec.precision - spec.scale - exponent
    number = draw(st.integers(-(10**digits) + 1, 10**digits - 1))
    return spec, Decimal(number).scaleb(exponent, WIDE)


def shortest(number: int) -> int:
    """Bytes that it needs in two's complement."""
    return (number if number >= 0 else ~number).bit_length() // 8 + 1


@given(fitting())
@example((DecimalSpec(), Decimal("9.99")))
@example((DecimalSpec(), Decimal("9.90")))
@example((DecimalSpec(), Decimal("-0.10")))
@example((DecimalSpec(), Decimal("1E+28")))
@example((DecimalSpec(12, 2), Decimal("1E+2")))
def test_a_decimal_comes_back_with_its_places(case: tuple[DecimalSpec, Decimal]) -> None:
    spec, value = case
    raw = decimal_bytes(value, spec)
    assert repr(decimal_of(raw, spec)) == repr(value)
    assert len(raw) <= shortest(10**spec.precision) + spec.precision


@given(fitting())
def test_other_avro_readers_see_the_same_number(case: tuple[DecimalSpec, Decimal]) -> None:
    spec, value = case
    raw = decimal_bytes(value, spec)
    schema = {"type": "bytes", "logicalType": "decimal"}
    schema |= {"precision": spec.precision, "scale": spec.scale}  # type: ignore[dict-item] # JSON
    datum = BytesIO()
    fastavro.schemaless_writer(datum, fastavro.parse_schema("bytes"), raw)

    datum.seek(0)
    assert fastavro.schemaless_reader(datum, fastavro.parse_schema(schema), None) == value
    datum.seek(0)
    read = avro.io.BinaryDecoder(datum).read_decimal_from_bytes
    assert read(spec.precision, spec.scale) == value
    assert int.from_bytes(raw, "big", signed=True) == value.scaleb(spec.scale, WIDE)


@given(fitting())
def test_shortest_bytes_mean_what_they_always_meant(case: tuple[DecimalSpec, Decimal]) -> None:
    """As other writers make them, and as jobs were written before: all places of the spec."""
    spec, value = case
    number = int.from_bytes(decimal_bytes(value, spec), "big", signed=True)
    raw = number.to_bytes(
        (number if number >= 0 else ~number).bit_length() // 8 + 1, "big", signed=True
    )

    back = decimal_of(raw, spec)
    assert (back, back.as_tuple().exponent) == (value, -spec.scale)


@given(fitting(), st.integers(0, 80))
def test_a_writer_that_pads_for_another_reason_changes_no_number(
    case: tuple[DecimalSpec, Decimal], width: int
) -> None:
    spec, value = case
    number = int.from_bytes(decimal_bytes(value, spec), "big", signed=True)
    size = max(shortest(number), width)
    if size <= spec.precision:
        assert decimal_of(number.to_bytes(size, "big", signed=True), spec) == value


def codec_of(args: Any) -> JobCodec[Any]:  # noqa: ANN401 - a type made here
    return JobCodec(args, "buy")


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**9, places=3))
def test_an_event_shows_the_places_that_were_enqueued(price: Decimal) -> None:
    codec = codec_of(make_dataclass("Buy", [("a", Decimal), ("b", list[Decimal | None])]))
    catalogue = Catalogue()
    catalogue.register(codec.schema)

    event = read_event(catalogue, codec.encode(META, codec.cls(price, [price, None])))

    assert event.args == {"a": str(price), "b": [str(price), None]}


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**9, places=3))
def test_places_outlive_a_change_of_the_type(price: Decimal) -> None:
    old = codec_of(make_dataclass("Buy", [("a", Annotated[Decimal, DecimalSpec(20, 4)])]))
    new = codec_of(
        make_dataclass(
            "Buy", [("b", int, 0), ("a", Annotated[Decimal, DecimalSpec(20, 4)], Decimal(0))]
        )
    )
    catalogue = Catalogue()
    catalogue.register(old.schema)
    value = old.encode(META, old.cls(price))
    decoded = catalogue.decode(value)
    reader = catalogue.get(decoded.fingerprint)
    assert reader is not None

    back: Any = reader.args(value, decoded.args_bytes_at, new)

    assert repr(back.a) == repr(price)
