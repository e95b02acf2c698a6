"""Lets a delivery run again where it stands: when, and as which attempt.

Its offset stays unfinished, and it keeps its order key.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jobstream_processors.core.decide import CountCrash, LetGo, RetryInPlace, WaitInPlace
from jobstream_processors.delivery import TAKEN
from jobstream_processors.engine.halting import end_instead

if TYPE_CHECKING:
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.onward import Onward
    from jobstream_processors.ports import Clock

IN_PLACE = frozenset({RetryInPlace, CountCrash, LetGo, WaitInPlace})
"""Decisions after which a delivery runs again in place."""


def again(way: Onward, delivery: Delivery, decision: Decision) -> None:
    """It runs again where it stands, unless its lane drains or has ended."""
    room = way.rooms.get(delivery.lane)
    if room is None or room.draining:
        way.release(delivery)
        return
    if isinstance(decision, LetGo):
        delivery.stage, delivery.decided = TAKEN, None
        way.start(delivery)
        return
    _set_again(delivery, decision, way.clock)
    room.put_off(delivery)
    if way.admission.ends_some:
        end_instead(way, delivery)


def _set_again(delivery: Delivery, decision: Decision, clock: Clock) -> None:
    """Make it wait for its next run, as one of those decisions says."""
    now_ms, first_ms = clock.monotonic_ms(), delivery.enqueued_ms(clock)
    delivery.context = None
    delivery.stage, delivery.decided = TAKEN, None
    delivery.began = delivery.kept_loop_s = 0.0
    # Its append is forgotten below: from now on it waits since it is due.
    carried = replace(delivery.carried, enqueued_ms=first_ms)
    if isinstance(decision, CountCrash):
        delivery.crashes = decision.crashes
        delivery.in_child = True
        delivery.due_ms = now_ms + decision.pause_ms
    elif isinstance(decision, WaitInPlace):
        delivery.unstarted += 1
        delivery.due_ms = now_ms + decision.delay_ms
    elif isinstance(decision, RetryInPlace):
        carried = replace(
            carried,
            attempt=decision.attempt,
            first_failed_ms=decision.first_failed_ms,
            snoozes=decision.snoozes,
        )
        delivery.due_ms = now_ms + decision.delay_ms
    delivery.carried = carried
    delivery.appended = clock.awake_s() * 1_000 + (delivery.due_ms or now_ms) - now_ms
