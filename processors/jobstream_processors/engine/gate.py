"""What of a lane may start now: the flood guard, and what operators paused or cancelled.

It keeps back, lets go, and ends what is cancelled. It runs nothing and settles nothing itself: the
engine lends it the hands for that. Used on the event loop's thread only.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from jobstream_processors.assignment.lane import Lane
from jobstream_processors.core.decide import (
    CountCrash,
    DeadLetter,
    Decision,
    End,
    Retry,
    RetryInPlace,
)
from jobstream_processors.core.known import CANCELLED
from jobstream_processors.core.orders import NOTHING
from jobstream_processors.core.outcome import is_unread, is_wanted
from jobstream_processors.delivery import Delivery

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobstream_processors.core.orders import Order, Orders
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.engine.intake import Taken

log = logging.getLogger("jobstream.worker")

FLOOD, QUEUE, TYPES, SILENT = "flood", "queue", "types", "silent"
SHUT = {QUEUE, SILENT}
"""Nothing of a lane begins for these reasons."""
"""Why a lane's gate is not open: the flood guard, its queue is paused, some job types are."""
FLOOD_FIX = (
    "the partition waits and lets one job through now and then; it goes on when one ends well. See "
    "why jobs die with: jobstream dlq list MODULE:APP"
)
SILENT_NEXT = (
    "no job begins until the group's coordinator answers; what runs goes on. See whether the "
    "brokers answer, and what jobstream.client says of them"
)
_offset = attrgetter("offset")


@dataclass(frozen=True, slots=True)
class Hands:
    """What the engine does for the gate."""

    submit: Callable[[Lane, Iterable[Delivery]], None]
    stop: Callable[[Delivery], None]
    """Stop a run, where that is possible; its outcome is reported as usual."""
    withdraw: Callable[[Lane], list[Delivery]]
    free_key: Callable[[Delivery], None]
    decided: Callable[[Delivery, Decision], None]
    monotonic_ms: Callable[[], int]


class Gate:
    """Keeps back deliveries of every lane of one process."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._orders: Orders = NOTHING
        self.cancels: Mapping[str, Order] = NOTHING.cancels
        """Cancelled jobs by id; empty nearly always, so that asking costs nothing."""
        self.later: set[Delivery] = set()
        """Wait to run again in place, of every lane."""
        self.silent = False
        """The group may have given this process up: nothing begins."""

    def obey(self, orders: Orders, lanes: Iterable[Lane], inflight: Mapping[str, Delivery]) -> None:
        """From now on `orders` hold; changes what is under way accordingly."""
        fresh = [job_id for job_id in orders.cancels if job_id not in self.cancels]
        self._orders, self.cancels = orders, orders.cancels
        for lane in lanes:
            self.set(lane)
        for job_id in fresh:
            delivery = inflight.get(job_id)
            if delivery is not None:
                self.cancel(delivery)

    def hush(self, lanes: Iterable[Lane], *, silent: bool) -> None:
        """Hold back every start while the group may have given this process up, or go on."""
        self.silent = silent
        if silent:
            log.warning("group_silent", extra={"next": SILENT_NEXT})
        else:
            log.warning("group_heard")
        for lane in lanes:
            self.set(lane)

    def set(self, lane: Lane) -> None:
        """Open or close `lane`'s gate as the orders say; lets go what they no longer hold."""
        orders = self._orders
        wanted = {FLOOD} & lane.gates
        if lane.queue in orders.queues:
            wanted.add(QUEUE)
        if self.silent:
            wanted.add(SILENT)
        if orders.types:
            wanted.add(TYPES)
        if not wanted and not lane.gates:
            return
        taken = self._hands.withdraw(lane)
        if lane.probe in taken:
            lane.probe = None
            lane.flood.unproved(self._hands.monotonic_ms(), failed=False)
        back = (*taken, *lane.aside, *lane.held)
        lane.aside.clear()
        lane.held = deque(sorted(back, key=_offset))
        lane.gates = wanted
        self.release(lane)

    def ended(self, delivery: Delivery, outcome: Outcome, decision: Decision) -> None:
        """A run is decided: feed the flood guard, which may close or open."""
        lane, now_ms = delivery.lane, self._hands.monotonic_ms()
        if was_probe := lane.probe is delivery:
            lane.probe = None
        if is_unread(outcome):
            # What no code here can read says nothing of any handler's health.
            if was_probe:
                lane.flood.unproved(now_ms, failed=False)
        elif isinstance(decision, DeadLetter):
            if lane.flood.died(now_ms):
                self._flooded(lane)
        elif is_wanted(outcome) and not delivery.unwanted:
            self.lived(lane)
        elif was_probe:
            lane.flood.unproved(
                now_ms, failed=isinstance(decision, Retry | RetryInPlace | CountCrash)
            )

    def lived(self, lane: Lane) -> None:
        """A handler ended as it wanted to; opens a guard that was closed."""
        if (lane.flood.deaths or not lane.flood.is_open) and lane.flood.lived():
            log.warning("flood_guard_opened", extra={"partition": lane.source})
            lane.gates.discard(FLOOD)
            self.release(lane)

    def _flooded(self, lane: Lane) -> None:
        """Hold what has not started: a flood of deaths must not empty the partition."""
        extra = {"partition": lane.source, "deaths": lane.flood.deaths, "fix": FLOOD_FIX}
        log.error("flood_guard_closed", extra=extra)
        lane.gates.add(FLOOD)
        lane.held.extendleft(reversed(self._hands.withdraw(lane)))

    def keep(self, delivery: Delivery) -> None:
        """A delivery would start while the gate is not open, or others wait before it."""
        lane = delivery.lane
        if lane.held or FLOOD in lane.gates or lane.gates & SHUT:
            lane.held.append(delivery)
        else:
            self._let(delivery)

    def release(self, lane: Lane) -> None:
        """Start what was held back, as far as the gate allows."""
        if lane.gates & SHUT:
            return
        if FLOOD not in lane.gates:
            while lane.held:
                self._let(lane.held.popleft())
        elif lane.flood.until_ms is not None:
            # Of a paused type no probe can be made: look for the first that may run.
            while lane.held and self._is_paused(lane.held[0]):
                lane.aside.append(lane.held.popleft())
            if lane.held and lane.flood.may_probe(self._hands.monotonic_ms()):
                lane.probe = lane.held.popleft()
                self._hands.submit(lane, (lane.probe,))

    def forget(self, lane: Lane) -> None:
        """End what never started in a lane that starts nothing more."""
        lane.held.clear()
        lane.aside.clear()
        self.later = {d for d in self.later if d.lane is not lane}

    def judged(self, taken: Iterable[Taken]) -> Iterator[Taken]:
        """What intake judged, with jobs that are cancelled decided as such."""
        for delivery, decision in taken:
            # While a run of it may go on it keeps its key; it is judged again after that.
            entry = None if delivery.awaits_run else self.cancels.get(delivery.id)
            # What ends anyway ends; an unknown type would only come again and again.
            if entry is not None and (decision is None or type(decision) is Retry):
                yield delivery, End(CANCELLED, entry.told)
            else:
                yield delivery, decision

    def cancel(self, delivery: Delivery) -> None:
        """End a delivery in flight that is cancelled, unless what becomes of it is decided.

        One that waits for a run of it is judged when that is over.
        """
        entry = self.cancels.get(delivery.id)
        if entry is None or delivery.decided or delivery.awaits_run or not delivery.lane.live:
            return
        if delivery.running and delivery not in self.later:
            delivery.unwanted = entry.told
            self._hands.stop(delivery)
            return
        had_key = self._take_out(delivery)
        self._hands.decided(delivery, End(CANCELLED, entry.told))
        if had_key and not delivery.holds_key:
            self._hands.free_key(delivery)

    def _take_out(self, delivery: Delivery) -> bool:
        """Remove it from where it waits; whether it had its order key by then."""
        lane = delivery.lane
        if delivery in self.later:
            self.later.discard(delivery)
        elif delivery in lane.held:
            lane.held.remove(delivery)
        elif delivery in lane.aside:
            lane.aside.remove(delivery)
        elif delivery.key is not None:
            lane.chains.leave(delivery.key, delivery)
            delivery.key = None
            return False
        return True

    def _let(self, delivery: Delivery) -> None:
        if self._is_paused(delivery):
            delivery.lane.aside.append(delivery)
        else:
            self._hands.submit(delivery.lane, (delivery,))

    def _is_paused(self, delivery: Delivery) -> bool:
        """Whether its type is paused, under its own name or one it had before."""
        types = self._orders.types
        if not types:
            return False
        spec, reader = delivery.spec, delivery.reader
        return (spec is not None and spec.name in types) or (
            reader is not None and reader.job_type in types
        )
