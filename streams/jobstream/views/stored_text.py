"""Texts as both databases can hold them: bounded, and without the character that one refuses."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT_CHARS_MAX = 1_000
ARGS_CHARS_MAX = 4_000
"""Of the args that are stored and searched; the log has them whole."""
TRACEBACK_CHARS_MAX = 8_000
INDEXED_BYTES_MAX = 1_000
"""Of what an index holds: PostgreSQL refuses an entry of more than 2,704, and two may be in one."""


_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=str)
to_json: Callable[[Any], str] = _encoder.encode
"""JSON without spaces; what has no form in JSON is its text."""


def cleaned(text: str) -> str:
    """The text as it is stored: PostgreSQL holds no NUL, and neither a half of a pair."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def indexed(text: str) -> str:
    """The text as an index can hold it: a longer one is cut, and its hash tells it from others."""
    text = cleaned(text)
    if 4 * len(text) <= INDEXED_BYTES_MAX:
        return text
    # Where the cut goes through a character, what is left of that goes, too.
    return indexed_bytes(text.encode()).decode(errors="ignore")


def indexed_bytes(raw: bytes) -> bytes:
    """The same of bytes."""
    if len(raw) <= INDEXED_BYTES_MAX:
        return raw
    mark = b"~" + hashlib.sha256(raw).hexdigest().encode()
    return raw[: INDEXED_BYTES_MAX - len(mark)] + mark
