"""The rules of settlement, each one replaceable, so that the explorer can be asked what it is for.

The defaults are the product's own functions and orders. What the product has no function for (who
commits what when, in which order a redriver works) is stated here as the order it must keep.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from jobstream_processors.core import letters
from jobstream_processors.core.headers import Trip
from jobstream_processors.core.known import Known

if TYPE_CHECKING:
    from jobstream_processors.core.watermark import Watermark

SETTLEMENT = ("copy", "row", "finish")


class Committable(Protocol):
    """What a worker commits."""

    def __call__(self, mark: Watermark, unfinished: frozenset[int]) -> int:
        """The next offset to read after a restart."""


def watermark(mark: Watermark, unfinished: frozenset[int]) -> int:  # noqa: ARG001 - shape of the rule
    return mark.position


def highest(committed: int | None, mirrored: int) -> int:
    return max(committed or 0, mirrored)


def own_key(key: bytes) -> bytes:
    return key


def as_decided(before: Trip, after: Trip) -> Trip:  # noqa: ARG001 - shape of the rule
    return after


@dataclass(frozen=True, slots=True)
class Rules:
    """One set of rules; a mutation replaces one of them."""

    settlement: tuple[str, ...] = SETTLEMENT
    """The steps after an outcome, in order."""
    committable: Committable = watermark
    start: Callable[[int | None, int], int] = highest
    """Where a new owner starts, from the group's offset and the mirrored one."""
    restored: Callable[[Known], Known] = lambda found: found
    """What a new owner knows before its first run, from what the topic tells."""
    absorbs: Callable[[Known, int, int], str | None] = Known.absorbs
    row_key: Callable[[bytes], bytes] = own_key
    climbed: Callable[[Trip, Trip], Trip] = as_decided
    """The trip on a retry's copy, from the delivery's trip and the decided one."""
    redriven: Callable[[Trip], Trip] = letters.redriven
    is_stale: Callable[[Known, int], bool] = letters.is_stale
    gap_stops: bool = True
    """A process that sees a gap in its clock longer than its session does nothing more."""
    hop_copy_first: bool = True
    redrive_copy_first: bool = True


RULES = Rules()
