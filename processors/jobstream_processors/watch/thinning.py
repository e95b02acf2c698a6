"""Thins out what is alike, so that a thousand failures a second are a line in ten seconds.

The first few of a kind are let through; from then on they are counted, and the count is due once
per interval, with one of them as the example. A kind of which an interval brought nothing is
forgotten. It writes nothing and reads no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

INTERVAL_MS = 10_000
WHOLE_MAX = 5
"""So many alike within one interval are let through: the attempts of one job, not a storm."""
KINDS_MAX = 1_000
"""Kinds that are counted apart; all others are counted as one."""

Example = TypeVar("Example")


@dataclass(slots=True)
class Kept(Generic[Example]):
    """What was counted of one kind since the last look."""

    until_ms: int
    let: int = 0
    count: int = 0
    example: Example | None = None


class Thinning(Generic[Example]):
    """Decides which of many alike pass. Used by one thread."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, Kept[Example]] = {}

    def passes(self, kind: Hashable, now_ms: int, example: Callable[[], Example]) -> bool:
        """Whether to let one of this kind through; `example` is made of the first that is not."""
        kept = self._kinds.get(kind)
        if kept is None:
            if len(self._kinds) >= KINDS_MAX:
                kind = None
            kept = self._kinds.setdefault(kind, Kept(now_ms + INTERVAL_MS))
        if kept.let < WHOLE_MAX:
            kept.let += 1
            return True
        kept.count += 1
        if kept.example is None:
            kept.example = example()
        return False

    def due(self, now_ms: int | None = None) -> list[tuple[Example, int]]:
        """(an example, how many were counted) of kinds whose interval is over; None: of all."""
        if not self._kinds:
            return []
        found = []
        for kind, kept in list(self._kinds.items()):
            if now_ms is not None and now_ms < kept.until_ms:
                continue
            if kept.example is None or now_ms is None:
                del self._kinds[kind]
            if kept.example is not None:
                found.append((kept.example, kept.count))
                kept.count, kept.example = 0, None
                kept.until_ms = (now_ms or 0) + INTERVAL_MS
        return found
