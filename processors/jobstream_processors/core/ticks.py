"""Which ticks of a schedule fire now, and what becomes of the others. Pure.

A tick is a nominal moment, epoch milliseconds. All up to one are dealt with together: each fires,
or is counted as missed (nobody was there, and it is too old or unwanted by now), merged (a later
one stands for it) or skipped (the job before goes on, or the schedule is paused).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, get_args

if TYPE_CHECKING:
    from collections.abc import Iterator

Missed = Literal["one", "all", "skip"]
Overlap = Literal["skip", "queue_one", "allow"]
MISSED: tuple[str, ...] = get_args(Missed)
OVERLAP: tuple[str, ...] = get_args(Overlap)

GRACE_MS = 60_000
"""A tick is missed if it is later than this: a failover takes less."""
COUNTED_MAX = 20_000
"""Ticks too old to fire that are counted one by one; an outage may have more."""
AT_ONCE_MAX = 500
"""Ticks that `missed="all"` fires in one go; the next go takes the next ones."""


class Calendar(Protocol):
    """When a schedule has ticks."""

    def next_ms(self, after_ms: int) -> int | None:
        """The first tick later than that; None if there is none."""


@dataclass(frozen=True, slots=True)
class Every:
    """A tick at every whole multiple of an interval before and after the anchor."""

    every_ms: int
    anchor_ms: int = 0

    def next_ms(self, after_ms: int) -> int:
        """The first tick later than that."""
        return after_ms + self.every_ms - (after_ms - self.anchor_ms) % self.every_ms


@dataclass(frozen=True, slots=True)
class Due:
    """What becomes of the ticks up to `through_ms`."""

    fires: tuple[int, ...]
    through_ms: int
    missed: int = 0
    merged: int = 0
    counted_all: bool = True
    """False where more ticks were missed than are counted one by one."""


def due(
    calendar: Calendar, span_ms: tuple[int, int], now_ms: int, missed: str, catch_up_ms: int
) -> Due | None:
    """What becomes of the ticks after one moment and up to another; None if there is none.

    A tick within GRACE_MS is not missed: where none is, all of them fire. Of ticks that are missed
    "one" fires the last tick of all, which stands for the others, "all" fires all, "skip" none but
    those within GRACE_MS; whatever is older than `catch_up_ms` never fires.
    """
    after_ms, until_ms = span_ms
    oldest_ms = now_ms - max(catch_up_ms, GRACE_MS)
    too_old, counted_all = 0, True
    first = calendar.next_ms(after_ms)
    if first is None or first > until_ms:
        return None
    while first is not None and first < min(oldest_ms, until_ms + 1):
        if too_old == COUNTED_MAX:
            counted_all = False
            first = calendar.next_ms(min(oldest_ms - 1, until_ms))
            break
        too_old += 1
        first = calendar.next_ms(first)
    grace_ms = now_ms - GRACE_MS
    is_fresh = first is not None and first >= grace_ms and (missed == "skip" or not too_old)
    if missed == "all" or is_fresh:
        found = list(_ticks(calendar, first, until_ms, AT_ONCE_MAX))
        through_ms = found[-1] if found else until_ms
        return Due(tuple(found), through_ms, too_old, 0, counted_all)
    # What "skip" does not leave out is told in the next go.
    up_to_ms = min(until_ms, grace_ms - 1) if missed == "skip" else until_ms
    count, last = 0, 0
    for tick in _ticks(calendar, first, up_to_ms, COUNTED_MAX):
        count, last = count + 1, tick
    if count == COUNTED_MAX:
        counted_all, last = False, _last_before(calendar, last, up_to_ms)
    if not count:
        return Due((), until_ms, too_old, 0, counted_all)
    if missed == "skip":
        return Due((), last, too_old + count, 0, counted_all)
    return Due((last,), last, too_old, count - 1, counted_all)


def _ticks(calendar: Calendar, first: int | None, until_ms: int, most: int) -> Iterator[int]:
    """The ticks from `first` on, up to a moment, and so many at most."""
    tick = first
    for _ in range(most):
        if tick is None or tick > until_ms:
            return
        yield tick
        tick = calendar.next_ms(tick)


def _last_before(calendar: Calendar, tick: int, until_ms: int) -> int:
    """The last tick up to a moment, of which `tick` is known: by halves, not one by one."""
    low, high = tick, until_ms
    while low < high:
        middle = (low + high + 1) // 2
        found = calendar.next_ms(middle - 1)
        if found is None or found > until_ms:
            high = middle - 1
        else:
            low = found
    return low
