"""Reads the header of a key, as clients write it: `"abc"` of the IETF draft, or a bare `abc`. Pure.

Both spell the same key. A list is refused: it cannot be known which of several keys is meant.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_CHARS_MAX = 255
_QUOTED = re.compile(rb'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE = re.compile(rb"[!#-+\--\[\]-~]+(?: +[!#-+\--\[\]-~]+)*")
_ESCAPED = re.compile(rb'\\(["\\])')


class KeyMalformed(ValueError):
    """The header can't be a key; its text says why and what to send."""


def key_of(name: str, values: Sequence[bytes]) -> str | None:
    """The key that the header's values spell; None if there are none. Raises KeyMalformed."""
    if not values:
        return None
    if len(values) > 1:
        message = f"{name} is there {len(values)} times: send it once"
        raise KeyMalformed(message)
    value = values[0].strip(b" \t")
    if value in {b"", b'""'}:
        message = f"{name} is empty: send a text of 1 to {KEY_CHARS_MAX} characters, such as a UUID"
        raise KeyMalformed(message)
    if found := _QUOTED.fullmatch(value):
        value = _ESCAPED.sub(rb"\1", found[1])
    elif not _BARE.fullmatch(value):
        message = (
            f"{name} {_shown(value)} is no key: send one text of printable ASCII, bare without "
            'commas, quotes and backslashes, or in quotes, as in "8e03978e-40d5"'
        )
        raise KeyMalformed(message)
    if len(value) > KEY_CHARS_MAX:
        message = f"{name} has {len(value)} characters; {KEY_CHARS_MAX} at most"
        raise KeyMalformed(message)
    return value.decode("ascii")


def _shown(value: bytes) -> str:
    return ascii(value[:80].decode("latin-1"))
