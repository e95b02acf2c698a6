"""The flood guard of each lane: it shuts after deaths in a row, and lets a probe through."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobstream_processors.core.deaths import FLOOD, LIMIT, FloodGuard
from jobstream_processors.core.decide import CountCrash, DeadLetter, Retry, RetryInPlace
from jobstream_processors.core.outcome import Done, is_unread, is_wanted
from jobstream_processors.engine.gates.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Collection

    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.waiting import Reason, WaitingRoom

log = logging.getLogger("jobstream.worker")

FLOOD_FIX = (
    "the partition waits and lets one job through now and then; it goes on when one ends well. See "
    "why jobs die with: jobstream dlq list MODULE:APP"
)


class Floods(Gate):
    """A guard for each lane in which a job died since one ended well."""

    lets_some = True

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        """So many deaths in a row shut a lane."""
        self._guards: dict[WaitingRoom, FloodGuard] = {}
        self._probes: dict[WaitingRoom, Delivery] = {}
        """What each guard let through last, until it ends."""

    def shuts(self, room: WaitingRoom) -> Reason | None:
        """Flood, while the guard is closed."""
        guard = self._guards.get(room)
        return None if guard is None or guard.is_open else FLOOD

    def lets_one(self, delivery: Delivery, room: WaitingRoom, now_ms: int) -> bool:
        """Whether it is time for a probe; then this is it."""
        if not self._guards[room].may_probe(now_ms):
            return False
        self._probes[room] = delivery
        return True

    def let(self, room: WaitingRoom) -> Delivery | None:
        """The probe on its way."""
        return self._probes.get(room)

    @property
    def is_wary(self) -> bool:
        """Whether a good end may change anything."""
        return bool(self._guards)

    def learn(
        self,
        room: WaitingRoom,
        delivery: Delivery,
        outcome: Outcome,
        decision: Decision,
        now_ms: int,
    ) -> None:
        """Count a death; forget them all after an end that the handler wanted."""
        guard = self._guards.get(room)
        if was_probe := self._probes.get(room) is delivery:
            del self._probes[room]
        if is_unread(outcome):
            # What no code here can read says nothing of any handler's health.
            if was_probe and guard is not None:
                guard.unproved(now_ms, failed=False)
        elif isinstance(decision, DeadLetter):
            if guard is None:
                guard = self._guards[room] = FloodGuard(self.limit)
            if guard.died(now_ms):
                extra = {"partition": room.lane.source, "deaths": guard.deaths, "fix": FLOOD_FIX}
                log.error("flood_guard_closed", extra=extra)
        elif type(outcome) is Done or (is_wanted(outcome) and not delivery.unwanted):
            self.forget(room)
            if guard is not None and guard.lived():
                log.warning("flood_guard_opened", extra={"partition": room.lane.source})
        elif was_probe and guard is not None:
            failed = isinstance(decision, Retry | RetryInPlace | CountCrash)
            guard.unproved(now_ms, failed=failed)

    def taken_back(self, room: WaitingRoom, deliveries: Collection[Delivery], now_ms: int) -> None:
        """A probe among them proved nothing: the next may be made at once."""
        if (probe := self._probes.get(room)) is not None and probe in deliveries:
            del self._probes[room]
            self._guards[room].unproved(now_ms, failed=False)

    def forget(self, room: WaitingRoom) -> None:
        """Know of no death in the lane."""
        self._guards.pop(room, None)
        self._probes.pop(room, None)
