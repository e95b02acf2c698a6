"""Why a dead letter was closed: headers of the tombstone that closes it. Pure.

A tombstone without them was written by a worker, whose job went on by itself, or by a program that
writes none. They are hostile input: what is out of its bounds is left out, and stops nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from jobstream_processors.core.fingerprint import is_fingerprint
from jobstream_processors.core.headers import TEXT_BYTES_MAX, cut
from jobstream_processors.core.letters import FINGERPRINT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream_processors.core.headers import Headers

CLOSED = "js-closed"
WHO = "js-who"
WHY = "js-why"
FIXED_BY = "js-fixed-by"
REDRIVEN: Final = "redriven"
DISCARDED: Final = "discarded"
FIXED: Final = "fixed"
_WAYS = {way.encode(): way for way in (REDRIVEN, DISCARDED, FIXED)}


@dataclass(frozen=True, slots=True)
class Closing:
    """How somebody closed a letter."""

    how: str
    """`redriven`, `discarded` or `fixed`."""
    who: str = ""
    why: str = ""
    fixed_by: str = ""
    """The id of the corrected job."""
    fingerprint: str = ""
    """Of the letter, which compaction removes before the tombstone."""


def closing_headers(closing: Closing) -> Headers:
    """The headers that say so; texts are cut to what a header may hold."""
    told = (
        (CLOSED, closing.how),
        (WHO, closing.who),
        (WHY, closing.why),
        (FIXED_BY, closing.fixed_by),
        (FINGERPRINT, closing.fingerprint),
    )
    return [(name, cut(text, TEXT_BYTES_MAX)) for name, text in told if text]


def closing_in(headers: Sequence[tuple[str, bytes | None]] | None) -> Closing | None:
    """What a tombstone's headers say; None if they do not say how."""
    found = dict(headers or ())
    how = _WAYS.get(found.get(CLOSED) or b"")
    if how is None:
        return None
    mark = found.get(FINGERPRINT) or b""
    return Closing(
        how,
        _text(found.get(WHO)),
        _text(found.get(WHY)),
        _text(found.get(FIXED_BY)),
        mark.decode() if is_fingerprint(mark) else "",
    )


def _text(raw: bytes | None) -> str:
    return raw.decode("utf-8", "replace") if raw and len(raw) <= TEXT_BYTES_MAX else ""
