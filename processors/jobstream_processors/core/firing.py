"""What a schedule does now: which of its ticks become jobs, by its pause and its overlap. Pure."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jobstream_processors.core.ticks import Due


class TickPlan(NamedTuple):
    """Ticks that become jobs now, what becomes of the others, and the tick that waits then."""

    fires: tuple[int, ...]
    pending_ms: int
    """0 where none waits."""
    missed: int = 0
    merged: int = 0
    skipped: int = 0


def plan_ticks(
    pending_ms: int, overlap: str, due: Due | None, *, has_ended: bool, is_paused: bool
) -> TickPlan:
    """What becomes of the ticks that are due, and of one that waits for the job before.

    `has_ended`: the schedule's last job goes on no more, or there is none. At most one tick waits;
    a later one takes its place, and counts it as merged.
    """
    fires = due.fires if due is not None else ()
    missed, merged = (due.missed, due.merged) if due is not None else (0, 0)
    if is_paused:
        return TickPlan((), pending_ms, skipped=len(fires) + missed + merged)
    if overlap == "allow":
        return TickPlan((pending_ms, *fires) if pending_ms else fires, 0, missed, merged)
    merged, fires = merged + max(0, len(fires) - 1), fires[-1:]
    if has_ended and pending_ms:
        # The one that waited goes first, and one that came meanwhile waits for its job.
        return TickPlan((pending_ms,), fires[0] if fires else 0, missed, merged)
    if has_ended or not fires:
        return TickPlan(fires, pending_ms, missed, merged)
    if overlap == "queue_one":
        return TickPlan((), fires[0], missed, merged + bool(pending_ms))
    return TickPlan((), pending_ms, missed, merged, skipped=len(fires))


def offset_ms(schedule: str, spread_ms: int) -> int:
    """How much later than its ticks a schedule fires: the same each time, another for each name."""
    if not spread_ms:
        return 0
    drawn = int.from_bytes(blake2b(schedule.encode(), digest_size=8).digest(), "big")
    return drawn % spread_ms
