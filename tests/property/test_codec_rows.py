"""Rows and mirrors come back as they were; done rows by hand equal those by the library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobstream_schemas import (
    ControlRecord,
    DecodeError,
    Mirror,
    Row,
    decode_control,
    decode_mirror,
    decode_row,
    done_key,
    encode_control,
    encode_done,
    encode_mirror,
    encode_row,
    parse_row,
    row_key,
    usual_done,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = st.from_regex(r"[A-Za-z0-9._-]{1,128}|@[a-z.]{1,20}:[0-9]:[0-9]{1,9}", fullmatch=True)
SMALL = st.integers(0, 70) | st.integers(0, 2**31 - 1)
TIMES = st.integers(10**12, 3 * 10**12) | st.integers(0, 2**63 - 1)
EIGHT = st.just(b"") | st.binary(min_size=8, max_size=8)
LONG = st.integers(-(2**63), 2**63 - 1)
KINDS = st.sampled_from(["job", "moved", "parked", "crash", "unique", "claim"])
ROWS = st.builds(
    Row,
    KINDS,
    IDS,
    st.sampled_from(["", "done", "dead", "expired"]),
    SMALL,
    SMALL,
    SMALL,
    EIGHT,
    EIGHT,
    TIMES,
    TIMES,
    st.text(max_size=90),
)
MIRRORS = st.builds(
    Mirror,
    st.text(),
    st.text(),
    st.text(),
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**62),
    st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 2**62)), max_size=4).map(tuple),
    st.integers(0, 2**31 - 1),
    LONG,
    LONG,
    LONG,
)


@given(ROWS)
def test_a_row_comes_back_and_belongs_to_its_key(row: Row) -> None:
    value = encode_row(row)
    assert decode_row(value) == row
    assert parse_row(row_key(row), value) == row


@given(IDS, SMALL, SMALL, TIMES, EIGHT, EIGHT)
def test_a_done_row_by_hand_equals_the_librarys(  # noqa: PLR0917  # the row's own fields
    job_id: str, redrive: int, attempt: int, at: int, digest: bytes, fingerprint: bytes
) -> None:
    row = Row("job", job_id, "done", redrive, 0, attempt, digest, fingerprint, at)
    value = encode_done(digest, fingerprint, job_id, redrive, attempt, at)
    assert value == encode_row(row)
    assert done_key(job_id, redrive) == row_key(row)
    assert parse_row(row_key(row), value) == decode_row(value) == row


def test_the_usual_done_row_takes_the_fast_way() -> None:
    value = encode_done(b"12345678", b"abcdefgh", "j-1", 0, 2, 1790000000000)
    assert usual_done(done_key("j-1", 0), value) == ("j-1", b"abcdefgh", b"12345678")


def test_every_changed_byte_is_read_as_the_library_reads_it_or_refused() -> None:
    key = done_key("j-1", 0)
    raw = encode_done(b"12345678", b"abcdefgh", "j-1", 0, 2, 1790000000000)
    accepted = 0
    for value in _each_byte_changed(raw, first=10):
        try:
            row = parse_row(key, value)
        except DecodeError:
            continue
        accepted += 1
        assert row_key(row) == key
        assert row == decode_row(value)
    # Both eights, seq, attempt, and time may hold nearly anything.
    assert accepted > 16 * 256


def _each_byte_changed(raw: bytes, *, first: int) -> Iterator[bytes]:
    for at in range(first, len(raw)):
        for byte in range(256):
            yield raw[:at] + bytes((byte,)) + raw[at + 1 :]


def test_a_row_under_another_key_is_refused() -> None:
    value = encode_done(b"12345678", b"abcdefgh", "a", 0, 1, 1790000000000)
    for key in (done_key("b", 0), done_key("a", 1), b"claim"):
        with pytest.raises(DecodeError, match="differs"):
            parse_row(key, value)


@given(MIRRORS)
def test_a_mirror_comes_back(mirror: Mirror) -> None:
    assert decode_mirror(encode_mirror(mirror)) == mirror


@given(st.binary(max_size=60))
def test_mangled_mirrors_raise_decode_errors_alone(garbage: bytes) -> None:
    prefix = encode_mirror(Mirror("g", "t", "i", 0, 0, (), 0, 0))[:10]
    try:
        decode_mirror(prefix + garbage)
    except DecodeError:
        return
    assert decode_mirror(encode_mirror(decode_mirror(prefix + garbage))) == decode_mirror(
        prefix + garbage
    )


@given(
    st.builds(
        ControlRecord,
        kind=st.text(max_size=20),
        subject=st.text(max_size=40),
        who=st.text(max_size=40),
        why=st.text(max_size=200),
        lasts_ms=st.integers(-(1 << 63), (1 << 63) - 1),
        limits=st.dictionaries(st.text(max_size=5), st.integers(0, 1 << 62), max_size=3),
    )
)
def test_a_control_entry_comes_back(control: ControlRecord) -> None:
    assert decode_control(encode_control(control)) == control


@given(st.binary(max_size=60))
def test_mangled_control_entries_raise_decode_errors_alone(garbage: bytes) -> None:
    prefix = encode_control(ControlRecord("", "", "", "", 0, {}))[:10]
    try:
        found = decode_control(prefix + garbage)
    except DecodeError:
        return
    assert isinstance(found, ControlRecord)


def test_a_mirror_of_a_full_window_is_a_small_record() -> None:
    finished = tuple((10**12 + 2 * n + 1, 10**12 + 2 * n + 2) for n in range(20_000))
    mirror = Mirror("shop", "shop.mail", "id", 0, 10**12, finished, 0, 10**12)

    encoded = encode_mirror(mirror)

    assert decode_mirror(encoded) == mirror
    assert len(encoded) < 50_000


def test_distances_that_are_no_pairs_are_refused() -> None:
    encoded = encode_mirror(Mirror("", "", "", 0, 0, ((1, 2),), 0, 0))
    odd = encoded.replace(bytes([4, 2, 2, 0]), bytes([2, 2, 0]))

    with pytest.raises(DecodeError, match="do not make pairs"):
        decode_mirror(odd)
