"""The secret values of one run, and their removal from every text about its failure.

Each text is searched for each secret in the forms it may take: plain, and as Python, JSON and URLs
encode it. A value of less than four characters is not looked for: it would be found in every other
word.
"""

from __future__ import annotations

import base64
import json
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "***"
CHARS_MIN = 4


class Hidden:
    """The secret values of one run."""

    def __init__(self, values: Iterable[object]) -> None:
        """Keep `values` as they are now; how they may look is worked out once a run has failed."""
        self._values = tuple(values)

    @cached_property
    def forms(self) -> tuple[str, ...]:
        """How they may look, the longest first: one may be a part of another."""
        found = {form for each in self._values for form in forms_of(each) if len(form) >= CHARS_MIN}
        return tuple(sorted(found, key=lambda form: (-len(form), form)))

    def clean(self, text: str) -> str:
        """The text with `***` in place of every one of the values."""
        for form in self.forms:
            if form in text:
                text = text.replace(form, MASK)
        return text


def forms_of(value: object) -> set[str]:
    """How a value may look in a text."""
    if isinstance(value, bool):
        return set()
    if isinstance(value, bytes):
        forms = {repr(value)[2:-1], value.hex(), base64.b64encode(value).decode()}
        return forms | (forms_of(value.decode()) if _is_text(value) else set())
    text = str(value)
    forms = {text, text.strip(), repr(text)[1:-1]}
    forms |= {json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    raw = text.encode("utf-8", "surrogatepass")
    forms |= {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    match value:
        case UUID():
            forms |= {value.hex, repr(value)}
        case date():
            forms |= {value.isoformat(), repr(value)}
    return forms


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
