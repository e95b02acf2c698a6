"""Names that look like what was given: what a message lists first. Pure."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def close_first(given: str, names: Iterable[str]) -> list[str]:
    """The names in order, but those first that look like what was given."""
    there = sorted(set(names))
    near = get_close_matches(given, there)
    return near + [name for name in there if name not in near]
