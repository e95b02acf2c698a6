"""What a Content-Length says, of a request or of an answer; whoever wrote it."""

from __future__ import annotations

DIGITS = 20
"""A length of more is beyond any bound, and Python reads no number of thousands of digits."""


def length_in(header: str) -> int | None:
    """The bytes that it tells, at least these where it tells absurdly many; None if no number."""
    if not (header.isascii() and header.isdigit()):
        return None
    return int(header.lstrip("0")[:DIGITS] or "0")
