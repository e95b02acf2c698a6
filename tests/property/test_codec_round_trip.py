"""Whatever a declared type can hold comes back as it was, and equals what Avro itself writes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from io import BytesIO
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from fastavro import parse_schema, schemaless_reader
from hypothesis import given
from hypothesis import strategies as st
from tests.property.parts import Colour, Line

from jobstream_schemas import Catalogue, DecimalSpec, DecodeError, JobCodec, Meta, is_id
from jobstream_schemas.avro_json import plain
from jobstream_schemas.meta import encode_meta, read_meta
from jobstream_schemas.packaged import packaged

if TYPE_CHECKING:
    from fastavro.types import Schema


@dataclass(frozen=True)
class Everything:
    text: str
    whole: int
    real: float
    flag: bool
    raw: bytes
    ident: UUID
    price: Annotated[Decimal, DecimalSpec(20, 4)]
    day: date
    instant: datetime
    colour: Colour
    other: Colour | None
    line: Line
    lines: list[Line]
    pairs: tuple[float, ...]
    names: dict[str, int]
    size: Literal["s", "m"]
    maybe: int | None = None
    later: datetime | None = None
    tags: list[str] = field(default_factory=list)
    fallback: str | None = "x"
    big: Decimal = Decimal("1.5")


CODEC = JobCodec(Everything, "all-types")
RESOLVE = CODEC.shape.resolver(CODEC.plain_args)
TEXT = st.text(max_size=80)
LONG = st.integers(-(2**63), 2**63 - 1)
IDS = st.from_regex(r"[A-Za-z0-9._-]{1,128}", fullmatch=True)
METAS = st.builds(
    Meta,
    IDS,
    LONG | st.integers(10**12, 3 * 10**12),
    TEXT,
    order_key=st.none() | TEXT,
    unique_key=st.none() | TEXT,
    expires_in_ms=st.none() | LONG,
    parent_id=st.none() | TEXT,
    correlation_id=st.none() | TEXT,
    limit_key=st.none() | TEXT,
    fair_key=st.none() | TEXT,
)
LINES = st.builds(Line, TEXT, LONG)
# Fixed offsets: Python never calls two times equal across zones where a clock is set back.
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
FIRST = datetime(1, 1, 2)  # noqa: DTZ001  # the strategy wants naive bounds
LAST = datetime(9999, 12, 30)  # noqa: DTZ001  # likewise
INSTANTS = st.datetimes(FIRST, LAST, timezones=OFFSETS)
ARGS = st.builds(
    Everything,
    text=TEXT,
    whole=LONG,
    real=st.floats(allow_nan=False),
    flag=st.booleans(),
    raw=st.binary(max_size=200),
    ident=st.uuids(),
    price=st.decimals(-(10**15), 10**15, places=4),
    day=st.dates(),
    instant=INSTANTS,
    colour=st.sampled_from(Colour),
    other=st.none() | st.sampled_from(Colour),
    line=LINES,
    lines=st.lists(LINES, max_size=5),
    pairs=st.lists(st.floats(allow_nan=False), max_size=70).map(tuple),
    names=st.dictionaries(TEXT, LONG, max_size=5),
    size=st.sampled_from(["s", "m"]),
    maybe=st.none() | LONG,
    later=st.none() | INSTANTS,
    tags=st.lists(TEXT, max_size=3),
    fallback=st.none() | TEXT,
    big=st.decimals(-(10**28), 10**28, places=9, allow_nan=False),
)


def read_record(stream: BytesIO, schema: Schema) -> dict[str, Any]:
    record = schemaless_reader(stream, schema, None, return_named_type=True)
    assert isinstance(record, dict)
    return record


@given(METAS, ARGS)
def test_every_supported_type_comes_back_as_declared(meta: Meta, args: Everything) -> None:
    value = CODEC.encode(meta, args)
    decoded = CODEC.decode(value)
    back = CODEC.args(value, decoded)
    assert decoded.meta == meta
    assert back == args
    assert type(back.lines) is list
    assert type(back.pairs) is tuple
    assert back.instant.tzinfo is UTC


@given(METAS.map(lambda meta: meta._replace(enqueued_at=0, expires_in_ms=None)), ARGS)
def test_the_hand_written_bytes_are_what_avro_reads(meta: Meta, args: Everything) -> None:
    stream = BytesIO(CODEC.encode(meta, args)[10:])
    record = read_record(stream, parse_schema(CODEC.schema.schema))
    assert not stream.read()
    assert record["args"]["price"] == args.price
    assert record["args"]["instant"] == args.instant
    assert record["args"]["names"] == args.names


@given(ARGS)
def test_args_by_hand_equal_args_by_the_library(args: Everything) -> None:
    value = CODEC.encode(META, args)
    at = CODEC.decode(value).args_bytes_at
    record = read_record(BytesIO(value[at:]), CODEC.plain_args)
    assert RESOLVE(record) == CODEC.decode_args(value, at)[0] == args


@given(METAS)
def test_meta_by_hand_equals_meta_by_the_library(meta: Meta) -> None:
    schema = plain(packaged("meta"))
    raw = encode_meta(meta)
    assert read_record(BytesIO(raw), schema) == meta._asdict()
    decoded = read_meta(raw, 0, b"")
    assert (decoded.meta, decoded.args_bytes_at) == (meta, len(raw))


@given(METAS, ARGS, st.data())
def test_mangled_bytes_raise_decode_errors_alone(
    meta: Meta, args: Everything, data: st.DataObject
) -> None:
    raw = bytearray(CODEC.encode(meta, args))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    mangled = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    _decode_or_refuse(mangled)


def test_every_changed_byte_is_read_as_the_library_reads_it_or_refused() -> None:
    args = replace(SAMPLE, lines=[Line("b", 3)], names={"k": 5}, pairs=(1.5,), maybe=1)
    raw = CODEC.encode(META, args)
    accepted = 0
    for at in range(10, len(raw)):
        for byte in range(256):
            accepted += _is_read_alike(raw[:at] + bytes((byte,)) + raw[at + 1 :])
    # The eight bytes of each of two numbers may hold anything.
    assert accepted > 16 * 256


def _is_read_alike(value: bytes) -> bool:
    try:
        decoded = CATALOGUE.decode(value)
        args = CODEC.reader.args(value, decoded.args_bytes_at, CODEC)
    except DecodeError:
        return False
    stream = BytesIO(value[10:])
    meta = read_record(stream, PLAIN_META)
    assert list(meta.values()) == list(decoded.meta)
    assert is_id(decoded.id)
    record = read_record(stream, CODEC.plain_args)
    assert repr(RESOLVE(record)) == repr(args)
    return True


@given(st.binary(max_size=300))
def test_garbage_after_a_true_prefix_raises_decode_errors_alone(garbage: bytes) -> None:
    _decode_or_refuse(CODEC.encode(META, SAMPLE)[:10] + garbage)
    _decode_or_refuse(garbage)


def _decode_or_refuse(value: bytes) -> None:
    try:
        decoded = CATALOGUE.decode(value)
        args = CODEC.reader.args(value, decoded.args_bytes_at, CODEC)
    except DecodeError:
        return
    # What was accepted is a whole value: it can be written again and read the same.
    assert repr(CODEC.args(CODEC.encode(decoded.meta, args))) == repr(args)


PLAIN_META = plain(packaged("meta"))
META = Meta("id", 1, "s", order_key="k", expires_in_ms=60_000)
SAMPLE = Everything(
    text="t",
    whole=1,
    real=1.0,
    flag=True,
    raw=b"",
    ident=UUID(int=1),
    price=Decimal(1),
    day=date(2020, 1, 1),
    instant=datetime(2020, 1, 1, tzinfo=UTC),
    colour=Colour.RED,
    other=None,
    line=Line("a"),
    lines=[],
    pairs=(),
    names={},
    size="s",
)
CATALOGUE = Catalogue()
CATALOGUE.register(CODEC.schema)
