"""Fingerprints are the specification's; those written into the code are those of the files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import pytest
from fastavro.schema import to_parsing_canonical_form

from jobstream_schemas import DecimalSpec, frame_of, job_schema, schema_fingerprint, split_frame
from jobstream_schemas.control_entry import CONTROL_FINGERPRINT
from jobstream_schemas.dedup_rows import ROW_FINGERPRINT
from jobstream_schemas.mirror_record import MIRROR_FINGERPRINT
from jobstream_schemas.packaged import packaged, packaged_before
from jobstream_schemas.schedule_records import (
    ORDER_FINGERPRINT,
    PLACE_EARLIER,
    PLACE_FINGERPRINT,
    SCHEDULE_FINGERPRINT,
)

EMPTY = 0xC15D213AA4D7A795


def rabin(data: bytes) -> bytes:
    """CRC-64-AVRO bit by bit, as the Avro 1.12 specification defines it."""
    value = EMPTY
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (EMPTY & -(value & 1))
    return value.to_bytes(8, "little")


def test_what_a_jobs_args_mean_is_told_behind_the_canonical_form() -> None:
    @dataclass(frozen=True)
    class Plain:
        a: int

    @dataclass(frozen=True)
    class Meant:
        a: datetime
        b: Annotated[Decimal, DecimalSpec(9, 2)]

    plain, meant = (job_schema(each, "job").schema for each in (Plain, Meant))
    assert schema_fingerprint(plain) == rabin(to_parsing_canonical_form(plain).encode())
    meanings = '[[".args.a","timestamp-micros"],[".args.b","decimal(9, 2)"]]'
    told = to_parsing_canonical_form(meant) + meanings
    assert schema_fingerprint(meant) == rabin(told.encode())


@pytest.mark.parametrize("name", ["meta", "row", "mirror", "control"])
def test_the_fingerprint_is_the_specifications(name: str) -> None:
    schema = packaged(name)
    assert schema_fingerprint(schema) == rabin(to_parsing_canonical_form(schema).encode())


def test_a_known_fingerprint() -> None:
    # The value that Avro's own tests give for "int": 0x7275d51a3f395c8f.
    assert rabin(b'"int"').hex() == "8f5c393f1ad57572"


def test_fingerprints_in_the_code_are_those_of_the_files() -> None:
    assert schema_fingerprint(packaged("row")) == ROW_FINGERPRINT
    assert schema_fingerprint(packaged("mirror")) == MIRROR_FINGERPRINT
    assert schema_fingerprint(packaged("control")) == CONTROL_FINGERPRINT
    assert schema_fingerprint(packaged("schedule")) == SCHEDULE_FINGERPRINT
    assert schema_fingerprint(packaged("schedule_place")) == PLACE_FINGERPRINT
    assert schema_fingerprint(packaged("schedule_order")) == ORDER_FINGERPRINT
    for fingerprint, since in PLACE_EARLIER.items():
        assert schema_fingerprint(packaged_before("schedule_place", since)) == fingerprint


def test_a_prefix_comes_back() -> None:
    assert split_frame(frame_of(b"12345678") + b"x") == (b"12345678", 10)
    with pytest.raises(ValueError, match="must have 8"):
        frame_of(b"1234")
