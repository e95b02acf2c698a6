"""Our headers: what is written reads back, and what others write is refused by one error."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobstream_processors.core.headers import (
    FIRST,
    HEADERS_MAX,
    LETTER_HEADERS_MAX,
    PREFIX,
    TEXT_BYTES_MAX,
    TRACEBACK,
    TRACEBACK_BYTES_MAX,
    Carried,
    parse,
    render,
)
from jobstream_processors.errors import BadHeaders

NUMBERS = (
    "redrive",
    "seq",
    "attempt",
    "delay-ms",
    "due-ms",
    "first-failed-ms",
    "unknown-since-ms",
    "partition",
)
TEXTS = ("error", "message", "reason", "origin", "trace", "frame", "traceback")
OURS = (*NUMBERS, *TEXTS, "snoozes", "unheard-of")

counts = st.integers(0, 1_000_000)
times = st.none() | st.integers(0, 1 << 45)
short_texts = st.text(max_size=20)
surrogates = st.characters(categories=["Cs"])
wild_texts = st.text(st.characters() | surrogates, max_size=20) | st.text(min_size=1_000)
WIDEST = "\U0001f4a5" * TRACEBACK_BYTES_MAX


def trips(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Carried]:
    return st.builds(
        Carried,
        redrive=counts,
        seq=counts,
        attempt=st.integers(1, 1_000_000),
        delay_ms=times,
        due_ms=times,
        first_failed_ms=times,
        unknown_since_ms=times,
        partition=st.none() | counts,
        snoozes=counts,
        error=texts,
        message=texts,
        reason=texts,
        origin=texts,
        trace=texts,
        frame=texts,
        traceback=texts,
    )


foreign_header = st.tuples(st.sampled_from(["traceparent", "x", ""]), st.binary(max_size=9))
foreign_headers = st.lists(foreign_header, max_size=9) | st.lists(
    foreign_header, min_size=HEADERS_MAX - 20, max_size=HEADERS_MAX
)
values = (
    st.none()
    | st.binary(max_size=20)
    | st.binary(min_size=TEXT_BYTES_MAX, max_size=TEXT_BYTES_MAX + 2)
    | st.integers().map(lambda number: str(number).encode())
    | st.text(max_size=6).map(str.encode)
)
names = st.sampled_from(OURS).map(PREFIX.__add__) | st.text(max_size=8)
hostile_headers = st.lists(st.tuples(names, values), max_size=70)


@given(trips(short_texts), foreign_headers)
def test_trip_reads_back_as_written(carried: Carried, foreign: list[tuple[str, bytes]]) -> None:
    assert parse(render(carried, foreign)) == carried


@given(trips(wild_texts), foreign_headers)
def test_copy_stays_within_bounds(carried: Carried, foreign: list[tuple[str, bytes]]) -> None:
    headers = render(carried, foreign)

    assert len(headers) + LETTER_HEADERS_MAX <= HEADERS_MAX
    ours = {name: value for name, value in headers if name.startswith(PREFIX)}
    assert len(ours.pop(TRACEBACK, b"")) <= TRACEBACK_BYTES_MAX
    assert all(len(value) <= TEXT_BYTES_MAX for value in ours.values())
    read = parse(headers)
    plain = dict.fromkeys(TEXTS, "")
    assert replace(read, **plain) == replace(carried, **plain)  # type: ignore[arg-type] # texts only


def test_the_longest_traceback_is_cut_to_its_own_bound_and_reads_back() -> None:
    headers = render(Carried(seq=1, traceback=WIDEST))

    assert len(dict(headers)[TRACEBACK]) == TRACEBACK_BYTES_MAX
    assert WIDEST.startswith(parse(headers).traceback)


@pytest.mark.parametrize("raw", [b"x" * (TRACEBACK_BYTES_MAX + 1), b"\xff"], ids=["long", "bytes"])
def test_a_traceback_of_a_stranger_keeps_the_rules_of_texts(raw: bytes) -> None:
    with pytest.raises(BadHeaders, match=TRACEBACK):
        parse([(TRACEBACK, raw)])


@given(trips(wild_texts))
def test_second_copy_is_like_the_first(carried: Carried) -> None:
    once = render(carried)

    assert render(parse(once)) == once


@given(trips(short_texts), foreign_headers)
def test_headers_of_others_travel_along(carried: Carried, foreign: list[tuple[str, bytes]]) -> None:
    kept = [pair for pair in render(carried, foreign) if not pair[0].startswith(PREFIX)]

    assert kept == foreign[: len(kept)]
    assert (
        len(kept) == len(foreign)
        or len(render(carried, foreign)) == HEADERS_MAX - LETTER_HEADERS_MAX
    )


@given(hostile_headers)
def test_hostile_headers_raise_one_error_or_read_as_a_trip(
    headers: list[tuple[str, bytes | None]],
) -> None:
    try:
        carried = parse(headers)
    except BadHeaders:
        return

    assert carried.attempt >= 1
    assert min(carried.redrive, carried.seq, carried.snoozes) >= 0
    assert parse(render(carried)) == carried


@given(foreign_headers)
def test_first_delivery_has_no_headers_of_ours(foreign: list[tuple[str, bytes]]) -> None:
    if len(foreign) <= HEADERS_MAX:
        assert parse(foreign) is FIRST
