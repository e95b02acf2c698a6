"""Sums up the deliveries in flight of a partition that is to change hands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.assignment.driver import Remains
from jobstream_processors.assignment.handover import left_of, ranges_of
from jobstream_processors.core.decide import FINISH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream_processors.assignment.handover import Left
    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.ports import Clock

LIMIT_MARGIN_MS = 1_000
"""Beyond its time limit, a run that can't be stopped is given so long to return."""


def remains(deliveries: Iterable[Delivery]) -> Remains:
    """How many run, and how many have ended and wait for their acknowledgement."""
    running = unsettled = 0
    for delivery in deliveries:
        if is_running(delivery):
            running += 1
        else:
            unsettled += 1
    return Remains(running, unsettled)


def left(lane: Lane, deliveries: Iterable[Delivery], clock: Clock) -> Left:
    """What the next owner of `lane` must know of these, and of what was left to this one.

    Runs of the partition's earlier lanes are named, too: nothing of their ends will be settled, so
    their jobs start again over there.
    """
    now_ms, now = clock.broker_ms(), clock.awake_s()
    mark = lane.watermark
    # What was done elsewhere and was begun here has its row, or is among the deliveries.
    ended = [(max(low, mark.begun), high) for low, high in lane.left.ended if high > mark.begun]
    runs = [
        (max(low, mark.position), high, until_ms)
        for low, high, until_ms in lane.left.runs
        if until_ms > now_ms and high > mark.position
    ]
    done = []
    for delivery in deliveries:
        offset = delivery.offset
        if is_running(delivery) and offset >= mark.position:
            # Its lane may have read on in a topic made anew before it heard of that, so whichever
            # incarnation it took this for: a job that waits in vain does no harm.
            runs.append((offset, offset + 1, now_ms + limit_ms(delivery, now)))
        elif delivery.decided is FINISH:
            done.append(offset)
    return left_of(ranges_of(done) + ended, runs)


def is_running(delivery: Delivery) -> bool:
    """Whether its handler was begun, or is about to be, and what becomes of it is open."""
    return delivery.running and delivery.decided is None


def limit_ms(delivery: Delivery, now: float) -> int:
    """How long a run may still take by its own time limit; `now` is awake time in seconds."""
    spec = delivery.spec
    timeout_ms = spec.timeout_ms if spec is not None else 0
    gone_ms = int((now - delivery.began) * 1_000) if delivery.began else 0
    return max(0, timeout_ms - gone_ms) + LIMIT_MARGIN_MS
