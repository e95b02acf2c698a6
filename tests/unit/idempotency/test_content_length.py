"""What a Content-Length says, of requests and of answers."""

from __future__ import annotations

import pytest

from jobstream.idempotency.content_length import DIGITS, length_in


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ("0", 0),
        ("000", 0),
        ("1024", 1_024),
        ("0" * 5_000 + "12", 12),
        ("9" * 5_000, 10**DIGITS - 1),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1, 1", None),
        ("\xb2", None),
        ("\u0663", None),
    ],
)
def test_a_length_is_ascii_digits_however_many(header: str, length: int | None) -> None:
    assert length_in(header) == length
