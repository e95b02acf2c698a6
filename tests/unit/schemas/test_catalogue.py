"""Foreign and older schemas: read where they resolve, refused where they endanger or mislead."""

from __future__ import annotations

import copy
import dataclasses
import json
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from fastavro import parse_schema, schemaless_writer

from jobstream_schemas import (
    Catalogue,
    DecimalSpec,
    DecodeError,
    JobCodec,
    Meta,
    SchemaConflict,
    SchemaRefused,
    UnknownSchema,
    args_digest,
    frame_of,
    job_schema,
    schema_fingerprint,
)
from jobstream_schemas.packaged import packaged

META = Meta("id-1", 1_790_000_000_000, "shop", order_key="k" * 70)


def made(*fields: Any) -> type[Any]:  # noqa: ANN401  # as make_dataclass takes them
    return dataclasses.make_dataclass("Thing", fields, frozen=True)


def value_of(schema: dict[str, Any], args: dict[str, Any], **meta: object) -> bytes:
    stream = BytesIO()
    stream.write(frame_of(schema_fingerprint(schema)))
    record = {"meta": {**META._asdict(), **meta}, "args": args}
    schemaless_writer(stream, parse_schema(schema), record)
    return stream.getvalue()


def test_meta_is_read_without_the_class_and_args_with_a_newer_one() -> None:
    old = JobCodec(made(("a", int)), "job")
    tags: Any = dataclasses.field(default_factory=list)
    new = JobCodec(made(("a", float), ("tags", list[str], tags), ("raw", bytes, b"\xff")), "job")
    catalogue = Catalogue()
    catalogue.register(old.schema.json)
    value = old.encode(META, old.cls(5))

    decoded = catalogue.decode(value)
    reader = catalogue.get(decoded.fingerprint)
    assert reader is not None
    first = reader.args(value, decoded.args_bytes_at, new)
    assert dataclasses.asdict(first) == {"a": 5.0, "tags": [], "raw": b"\xff"}
    # A default is handed out anew: one handler's change must not reach the next job.
    first.tags.append("x")
    assert reader.args(value, decoded.args_bytes_at, new).tags == []
    assert decoded.order_key == META.order_key
    assert catalogue.job_type(decoded.fingerprint) == "job"


def test_a_meta_of_another_layout_is_resolved() -> None:
    schema = copy.deepcopy(job_schema(made(("a", int)), "job").schema)
    schema["fields"][0]["type"]["fields"].reverse()
    schema["fields"][0]["type"]["fields"].insert(0, {"name": "more", "type": "string"})
    catalogue = Catalogue()
    reader = catalogue.register(schema)
    value = value_of(schema, {"a": 7}, more="m", enqueued_at=datetime.fromtimestamp(5, UTC))

    decoded = catalogue.decode(value)
    assert (decoded.id, decoded.enqueued_at, decoded.order_key) == ("id-1", 5000, "k" * 70)
    codec = JobCodec(made(("a", int)), "job")
    assert reader.args(value, decoded.args_bytes_at, codec).a == 7
    with pytest.raises(DecodeError, match="id"):
        catalogue.decode(value_of(schema, {"a": 7}, more="m", id="a b", enqueued_at=5))


def test_a_meta_of_before_the_keys_is_read() -> None:
    schema = copy.deepcopy(job_schema(made(("a", int)), "job").schema)
    schema["fields"][0]["type"]["fields"][-2:] = []
    catalogue = Catalogue()
    reader = catalogue.register(schema)
    value = value_of(schema, {"a": 7}, enqueued_at=datetime.fromtimestamp(5, UTC))

    decoded = catalogue.decode(value)
    assert decoded.meta == META._replace(enqueued_at=5000)
    codec = JobCodec(made(("a", int)), "job")
    assert reader.args(value, decoded.args_bytes_at, codec).a == 7


@pytest.mark.parametrize(
    "change",
    [
        lambda meta: meta["fields"].pop(0),
        lambda meta: meta["fields"][1].update(type="long"),
        lambda meta: meta["fields"][1].update(
            type={"type": "long", "logicalType": "timestamp-micros"}
        ),
    ],
)
def test_a_meta_that_cannot_be_understood_is_refused(change: Any) -> None:  # noqa: ANN401
    schema = copy.deepcopy(job_schema(made(("a", int)), "job").schema)
    change(schema["fields"][0]["type"])
    with pytest.raises(SchemaRefused, match="meta cannot be read"):
        Catalogue().register(schema)


def decimal(scale: int) -> Any:  # noqa: ANN401  # a type made at run time
    return Annotated[Decimal, DecimalSpec(9, scale)]


def test_a_change_of_meaning_is_another_schema() -> None:
    catalogue = Catalogue()
    hints = (decimal(2), decimal(3), int, datetime, str, UUID, bytes)
    schemas = [job_schema(made(("a", hint)), "job") for hint in hints]
    for schema in (*schemas, *schemas):
        catalogue.register(schema.json)
    assert len({schema.fingerprint for schema in schemas}) == len(hints)


def test_one_fingerprint_for_two_job_types_is_a_conflict() -> None:
    catalogue = Catalogue()
    catalogue.register(job_schema(made(("a", decimal(2))), "job-x"))
    with pytest.raises(SchemaConflict, match="job_x"):
        catalogue.register(job_schema(made(("a", decimal(2))), "job_x"))


def test_other_literals_or_defaults_are_no_conflict() -> None:
    catalogue = Catalogue()
    catalogue.register(job_schema(made(("a", Literal["x"]), ("b", int, 1)), "job"))
    catalogue.register(job_schema(made(("a", Literal["x", "y"]), ("b", int, 2)), "job"))


def test_a_changed_logical_type_is_never_read_as_the_new_one() -> None:
    old = JobCodec(made(("a", decimal(2))), "job")
    new = JobCodec(made(("a", decimal(3)), ("b", int, 0)), "job")
    value = old.encode(META, old.cls(Decimal(1)))
    with pytest.raises(DecodeError, match=r"decimal\(9, 2\) is read as decimal\(9, 3\)"):
        old.reader.args(value, old.decode(value).args_bytes_at, new)


def test_a_literal_that_is_gone_is_a_decode_error() -> None:
    old = JobCodec(made(("a", Literal["x", "y"])), "job")
    new = JobCodec(made(("a", Literal["x"])), "job")
    value = old.encode(META, old.cls("y"))
    with pytest.raises(DecodeError, match="'y' is none of 'x'"):
        new.args(value)


def test_confluents_prefix_is_an_unknown_schema_and_garbage_is_not() -> None:
    catalogue = Catalogue()
    with pytest.raises(UnknownSchema) as caught:
        catalogue.decode(b"\x00\x00\x00\x00\x2arest")
    assert caught.value.reference == b"\x00\x00\x00\x2a"
    with pytest.raises(UnknownSchema):
        catalogue.decode(b"\xc3\x01" + b"12345678")
    for garbage in (b"", b"\xc3\x01", b"\x00", b"{}", b"\xc3\x011234567"):
        with pytest.raises(DecodeError) as refused:
            catalogue.decode(garbage)
        assert type(refused.value) is DecodeError


def test_values_too_long_or_with_bytes_left_are_refused() -> None:
    codec = JobCodec(made(("a", str)), "job", max_bytes=200)
    value = codec.encode(META, codec.cls("x"))
    with pytest.raises(DecodeError, match="args end at byte"):
        codec.args(value + b"\x00")
    for cut in range(len(value)):
        with pytest.raises(DecodeError):
            codec.args(value[:cut])
    with pytest.raises(DecodeError, match="cap is 200"):
        codec.decode(value + b"\x00" * 200)


def test_a_huge_decimal_is_refused_at_once() -> None:
    codec = JobCodec(made(("a", Decimal)), "job")
    value = codec.encode(META, codec.cls(Decimal(1)))
    at = codec.decode(value).args_bytes_at
    stream = BytesIO()
    schemaless_writer(stream, parse_schema("bytes"), b"\x7f" * 1_000_000)
    with pytest.raises(DecodeError, match="does not fit 38 digits"):
        codec.args(value[:at] + stream.getvalue())


def test_a_class_that_refuses_its_values_is_a_decode_error() -> None:
    @dataclasses.dataclass(frozen=True)
    class Positive:
        a: int

        def __post_init__(self) -> None:
            if self.a == 13:
                raise ValueError(self.a)

    codec = JobCodec(Positive, "job")
    other = JobCodec(made(("a", int)), "job")
    with pytest.raises(DecodeError, match="ValueError: 13"):
        codec.args(other.encode(META, other.cls(13)))


def test_equal_args_have_equal_digests() -> None:
    codec = JobCodec(made(("a", str)), "job")
    values = [codec.encode(META._replace(id=i), codec.cls(a)) for i, a in ("1x", "2x", "3y")]
    one, two, three = (args_digest(v, codec.decode(v).args_bytes_at) for v in values)
    assert one == two != three
    assert len(one) == 8


def test_what_is_no_job_schema_is_refused() -> None:
    row = json.dumps(packaged("row"))
    for text in ("", "5", "[" * 100_000, '"int"', row, '{"type": "what"}', '{"type": {}}'):
        with pytest.raises(SchemaRefused):
            Catalogue().register(text)


def test_blocks_that_announce_their_bytes_are_read() -> None:
    codec = JobCodec(made(("a", list[int]), ("b", dict[str, bool])), "job")
    value = codec.encode(META, codec.cls([], {}))
    # Two blocks of a list, the first with a negative count and its length, then a map of one.
    args = b"\x03\x04\x02\x04" + b"\x02\x06" + b"\x00" + b"\x01\x06\x02k\x01" + b"\x00"
    assert codec.args(value[:-2] + args) == codec.cls([1, 2, 3], {"k": True})


def test_keyword_only_fields_come_back_in_their_places() -> None:
    @dataclasses.dataclass(frozen=True)
    class Mixed:
        first: int = dataclasses.field(kw_only=True)
        second: int

    codec = JobCodec(Mixed, "job")
    args = Mixed(2, first=1)
    assert codec.args(codec.encode(META, args)) == args


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        (int, b"\xff" * 9 + b"\x02"),
        (int, b"\xff" * 11),
        (str, b"\x01"),
        (bytes, b"\x03"),
        (bool, b"\x02"),
        (int | None, b"\x04\x02"),
        (Literal["x"], b"\x02y"),
        (Decimal, b"\x00"),
        (list[int], b"\x02"),
    ],
)
def test_bytes_that_hold_no_such_value_are_refused(kind: object, args: bytes) -> None:
    codec = JobCodec(made(("a", kind)), "job")
    at = codec.decode(codec.encode(META, codec.cls(_some(kind)))).args_bytes_at
    prefix = codec.encode(META, codec.cls(_some(kind)))[:at]
    with pytest.raises(DecodeError):
        codec.args(prefix + args)


def _some(kind: object) -> object:
    known: dict[object, object] = {
        int: 1,
        str: "",
        bytes: b"",
        bool: True,
        Decimal: Decimal(1),
        list[int]: [],
    }
    return known.get(kind, "x" if kind == Literal["x"] else None)
