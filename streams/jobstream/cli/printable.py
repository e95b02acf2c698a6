"""Text from outside made harmless for a terminal. Headers and error messages are hostile input."""

from __future__ import annotations

from math import isfinite, isnan
from typing import Any, TextIO


def printable(text: str) -> str:
    r"""The text with control characters, escape sequences among them, written as \x1b and so on.

    Line ends and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )


def one_line(text: str, most: int | None = 200) -> str:
    """The text on one line, at most `most` characters; None: all of it."""
    flat = printable(" ".join(text.split()))
    return flat if most is None or len(flat) <= most else flat[: most - 1] + "…"


def finite(value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """The value with NaN and the infinities as texts, which JSON has no numbers for."""
    match value:
        case float() if not isfinite(value):
            return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case dict():
            return {name: finite(each) for name, each in value.items()}
        case list() | tuple():
            return [finite(each) for each in value]
    return value


def writes_utf8(stream: TextIO) -> bool:
    """Whether letters beyond ASCII leave it as UTF-8, the only encoding of JSON (RFC 8259)."""
    return (stream.encoding or "").lower().replace("-", "").startswith("utf8")
