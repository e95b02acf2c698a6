"""Our headers when somebody else wrote them."""

from __future__ import annotations

import pytest

from jobstream_processors.core.headers import (
    FIRST,
    HEADERS_MAX,
    TEXT_BYTES_MAX,
    Carried,
    parse,
    render,
)
from jobstream_processors.errors import BadHeaders


@pytest.mark.parametrize(
    "bad",
    [
        ("js-attempt", b"-1"),
        ("js-attempt", b"0"),
        ("js-attempt", b"1000001"),
        ("js-due-ms", b"abc"),
        ("js-due-ms", b"9" * 16),
        ("js-seq", b""),
        ("js-seq", None),
        ("js-seq", b" 1"),
        ("js-redrive", "\u0661".encode()),
        ("js-error", b"\xff"),
        ("js-origin", b"x" * (TEXT_BYTES_MAX + 1)),
    ],
    ids=str,
)
def test_nonsense_is_refused_by_name(bad: tuple[str, bytes | None]) -> None:
    with pytest.raises(BadHeaders, match=bad[0]):
        parse([bad])


def test_repeated_header_is_refused() -> None:
    with pytest.raises(BadHeaders, match="twice"):
        parse([("js-seq", b"1"), ("js-seq", b"2")])


def test_too_many_headers_are_refused() -> None:
    with pytest.raises(BadHeaders, match="65 headers"):
        parse([("x", b"")] * 65)


@pytest.mark.parametrize("none", [None, [], [("traceparent", b"00")], [("js-later", b"?")]])
def test_no_header_of_ours_is_a_first_delivery(none: list[tuple[str, bytes | None]] | None) -> None:
    assert parse(none) == FIRST


def test_absent_text_is_empty() -> None:
    assert parse([("js-error", None)]).error == ""


def test_error_with_surrogates_is_written_escaped() -> None:
    assert dict(render(Carried(message="name-\udce9")))["js-message"] == b"name-\\udce9"


def test_letter_of_a_crowded_record_can_be_redriven() -> None:
    """A letter adds four headers to the ones rendered."""
    letter = [
        *render(Carried(seq=1), [("x", b"")] * HEADERS_MAX),
        ("js-key", b""),
        ("js-pointer", b""),
        ("js-fingerprint", b""),
        ("js-release", b""),
    ]

    assert parse(letter).seq == 1


def test_text_is_cut_at_a_whole_character() -> None:
    assert dict(render(Carried(reason="\u20ac" * 400)))["js-reason"] == "\u20ac".encode() * 333
