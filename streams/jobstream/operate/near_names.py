"""Names that a message lists: first those that look like what was given, not too many. Pure."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def close_first(given: str, names: Iterable[str]) -> list[str]:
    """The names in order, but those first that look like what was given."""
    there = sorted(set(names))
    near = get_close_matches(given, there)
    return near + [name for name in there if name not in near]


def listed(names: Sequence[str], most: int, before_more: str = ", and") -> str:
    """The first of the names, and how many more there are."""
    more = f"{before_more} {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
