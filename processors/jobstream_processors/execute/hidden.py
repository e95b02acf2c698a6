"""Secret values of the jobs that run here, and their removal from any text that is about to leave.

A text cannot be asked where it came from, so values are looked for as they look in texts: as they
are, and as Python, JSON and URLs write them. A value of less than four characters is not looked
for: it would be found in every other word. What is kept here is never written anywhere.
"""

from __future__ import annotations

import base64
import json
import threading
import weakref
from collections import deque
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "***"
CHARS_MIN = 4
RECENT_MAX = 256
"""Runs whose values are still removed after their end: tasks they left behind may fail later."""


class Hidden:
    """The secret values of one run."""

    __slots__ = ("__weakref__", "forms")

    def __init__(self, values: Iterable[object]) -> None:
        found = {form for value in values for form in forms_of(value) if len(form) >= CHARS_MIN}
        self.forms = tuple(sorted(found, key=lambda form: (-len(form), form)))
        """The longest first: one may be a part of another."""

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


class Runs:
    """The secret values of the runs in this process, and of the last ones that ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alive: weakref.WeakSet[Hidden] = weakref.WeakSet()
        self._recent: deque[Hidden] = deque(maxlen=RECENT_MAX)

    def keep(self, hidden: Hidden) -> Hidden:
        """Remove these values as long as somebody holds `hidden`, and a while after."""
        if hidden.forms:
            with self._lock:
                self._alive.add(hidden)
                self._recent.append(hidden)
        return hidden

    def clean(self, text: str) -> str:
        """The text without the secret values of any run here."""
        if not self._recent:
            return text
        with self._lock:
            kept = list(self._alive)
        forms = {form for hidden in kept for form in hidden.forms if form in text}
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, MASK)
        return text


RUNS = Runs()
"""One in a process, as its log is: a line may be written by any job, thread or library."""
