"""Text from outside made visible: what can't be seen, or moves other text, is named. Pure.

Escaping keeps a text from being markup; this keeps it from lying: a mark that turns the direction
of writing, a zero byte or half a character pair would break the page or hide a part of it.
"""

from __future__ import annotations

import unicodedata

CHARS_MAX = 20_000
"""No single text on a page is longer, whatever its place."""
_KEPT = frozenset("\n\t")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Control and format characters, halves of pairs, private use, and ends of lines and paragraphs."""
_PICTURES = 0x2400
_SPACE = 0x20


def visible(text: str, most: int = CHARS_MAX) -> str:
    """The text, at most `most` characters of it, each hidden character as a sign or its name."""
    cut = text if len(text) <= most else f"{text[: most - 1]}…"
    if cut.isprintable():
        return cut
    return "".join(map(_shown, cut))


def one_line(text: str, most: int = 200) -> str:
    """The same on one line."""
    return visible(" ".join(text[: most * 4].split(" ")).replace("\n", " "), most)


def _shown(char: str) -> str:
    if char in _KEPT or unicodedata.category(char) not in _HIDDEN:
        return char
    code = ord(char)
    if code < _SPACE:
        return chr(_PICTURES + code)
    return f"[U+{code:04X}]"
