"""Outages of what jobs call: jobs of a type wait while what they call is failing.

It says so in the log whenever a breaker opens, is tried or closes, and tells the other processes of
an opening.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

from jobstream_processors.core.breaker_guard import (
    BreakerFacts,
    BreakerGuard,
    Change,
    Health,
    health,
)
from jobstream_processors.core.circuit import State
from jobstream_processors.core.duration import to_text
from jobstream_processors.core.orders import NOTHING, OPEN
from jobstream_processors.engine.gates.freed import Freed
from jobstream_processors.engine.gates.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from jobstream_processors.core.breaker import Breaker
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.orders import Order, Orders
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.core.verdict import NotBefore
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.waiting import WaitingRoom

log = logging.getLogger("jobstream.worker")

FIX = (
    "its jobs wait and lose no attempt; it is tried again by itself. See whether what they call "
    "answers. To act by hand: jobstream control breaker open MODULE:APP NAME (or close)"
)
OWN, SHARED, OPERATOR = "own", "shared", "operator"
"""What opened a breaker: runs here, another process that shared it, or an operator."""
TOLD_MS = 1_000
"""An opening is not told of again if what was told last lasts as long, but for so much."""


TellOpening = Callable[[str, str, int], None]
"""Tells the other processes that a breaker opened: its name, why, and for how many milliseconds.
It returns at once, and raises nothing."""


class Breakers(Gate):
    """The breakers that the job types of one process name. Times are the brokers'."""

    has_rules = True

    def __init__(
        self,
        breakers: Iterable[Breaker],
        now_ms: Callable[[], int],
        tell: TellOpening | None = None,
    ) -> None:
        self._guards = {breaker.name: BreakerGuard(breaker) for breaker in breakers}
        self._now_ms = now_ms
        self._tell = tell
        self._orders = NOTHING
        self._began: dict[Delivery, int] = {}
        """In which era of its breaker each that has begun began."""
        self._waiting: dict[str, dict[Delivery, None]] = {name: {} for name in self._guards}
        """What was told to wait, as far as it may wait in memory."""
        self._freed = Freed()
        self._recalls = False
        """A breaker has opened, before which jobs of it were handed over."""
        self._openings = {name: dict.fromkeys((OWN, SHARED, OPERATOR), 0) for name in self._guards}

    # -- what is asked of a gate

    def asks(self, room: WaitingRoom, delivery: Delivery, now_ms: int) -> NotBefore | None:  # noqa: ARG002 - its lane has no part in it
        """Not before the breaker is tried again; None while it is closed, or for a probe."""
        guard = self._guard(delivery)
        if guard is None:
            return None
        carried = delivery.carried
        verdict = guard.verdict(now_ms, delivery.id, carried.redrive, carried.seq)
        waiting = self._waiting[guard.breaker.name]
        if verdict is None:
            waiting.pop(delivery, None)
        elif delivery.key is not None or verdict.is_near(now_ms):
            waiting[delivery] = None
        return verdict

    def taken(self, room: WaitingRoom, delivery: Delivery) -> None:  # noqa: ARG002 - as above
        """It begins, as a probe if the breaker is not closed."""
        if (guard := self._guard(delivery)) is None:
            return
        now_ms = self._now_ms()
        if guard.circuit.until_ms is not None and guard.forced(now_ms) is None:
            tried = guard.state(now_ms) is not State.CLOSED
            extra = {"breaker": guard.breaker.name, "job_id": delivery.id}
            log.info("breaker_tried" if tried else "breaker_closed", extra=extra)
        self._began[delivery] = guard.begins(now_ms)

    def learn(
        self,
        room: WaitingRoom,  # noqa: ARG002 - the shape of it
        delivery: Delivery,
        outcome: Outcome,
        decision: Decision,
        now_ms: int,  # noqa: ARG002 - it is not the brokers'
    ) -> None:
        """Count the end of a run, which may open the breaker or close it."""
        if delivery in self._began:
            self._ended(delivery, health(outcome, decision))

    def settled(self, delivery: Delivery, decision: Decision) -> None:  # noqa: ARG002 - as above
        """It waits here no more."""
        if (guard := self._guard(delivery)) is not None:
            self._waiting[guard.breaker.name].pop(delivery, None)

    def taken_back(
        self,
        room: WaitingRoom,  # noqa: ARG002 - as above
        deliveries: Collection[Delivery],
        now_ms: int,  # noqa: ARG002 - as above
    ) -> None:
        """Those among them that were probes proved nothing; none of them can be the next one."""
        for delivery in deliveries:
            if (guard := self._guard(delivery)) is not None:
                self._waiting[guard.breaker.name].pop(delivery, None)
                self._drop(delivery)

    def forget(self, room: WaitingRoom) -> None:
        """Its probes proved nothing, and nothing of it waits."""
        self._freed.forget(room.lane)
        for delivery in [each for each in self._began if each.lane is room.lane]:
            self._drop(delivery)
        for waiting in self._waiting.values():
            for delivery in [each for each in waiting if each.lane is room.lane]:
                del waiting[delivery]

    def released(self) -> Sequence[Delivery]:
        """What waited for a breaker that has closed since, or for a probe that said nothing."""
        return self._freed.take()

    def recalls(self) -> bool:
        """A breaker has opened: many of its jobs may stand in line, and none is to begin."""
        found, self._recalls = self._recalls, False
        return found

    # -- what others say

    def obey(self, orders: Orders) -> Collection[str]:
        """Hold and release breakers as operators say; believe others that found one failing."""
        before, self._orders = self._orders, orders
        now_ms = self._now_ms()
        for name, guard in self._guards.items():
            held, was_held = orders.breakers.get(name), before.breakers.get(name)
            if held != was_held:
                self._hold(guard, held, now_ms)
            opening = orders.openings.get(name)
            if opening is not None and opening != before.openings.get(name):
                self._believe(guard, opening, now_ms)
        return ()

    def _hold(self, guard: BreakerGuard, order: Order | None, now_ms: int) -> None:
        name = guard.breaker.name
        if order is None:
            guard.release(now_ms)
            log.warning("breaker_released", extra={"breaker": name, **self._stands(guard, now_ms)})
        else:
            state = State.OPEN if order.limits.get(OPEN) else State.CLOSED
            if state is State.OPEN and guard.state(now_ms) is not State.OPEN:
                self._openings[name][OPERATOR] += 1
                self._recalls = True
            guard.force(state, order.expires_ms)
            told = {"breaker": name, "why": order.told, **self._stands(guard, now_ms)}
            log.warning("breaker_held", extra=told)
        if guard.state(now_ms) is not State.OPEN:
            self._release(guard)

    def _believe(self, guard: BreakerGuard, opening: Order, now_ms: int) -> None:
        if guard.told(now_ms, opening.expires_ms):
            name = guard.breaker.name
            self._openings[name][SHARED] += 1
            self._recalls = True
            told = {"breaker": name, "why": opening.told, **self._stands(guard, now_ms)}
            log.warning("breaker_opened", extra={**told, "fix": FIX})

    # -- for those that look

    def facts(self) -> list[BreakerFacts]:
        """How each breaker stands. Safe from any thread."""
        now_ms, held = self._now_ms(), self._orders.breakers
        return [
            BreakerFacts(
                name,
                guard.state(now_ms),
                guard.until_ms(now_ms),
                held[name].told if name in held else "",
                tuple(self._openings[name].items()),
            )
            for name, guard in self._guards.items()
        ]

    # -- inside

    def _guard(self, delivery: Delivery) -> BreakerGuard | None:
        spec = delivery.spec
        if spec is None or spec.breaker is None:
            return None
        return self._guards.get(spec.breaker.name)

    def _drop(self, delivery: Delivery) -> None:
        if delivery in self._began:
            self._ended(delivery, Health.UNKNOWN)

    def _ended(self, delivery: Delivery, how: Health) -> None:
        era, guard = self._began.pop(delivery), self._guard(delivery)
        assert guard is not None, "it began by its breaker"  # noqa: S101
        now_ms, window = self._now_ms(), guard.circuit.window
        change = guard.ended(now_ms, era, how)
        if change is Change.CLOSED:
            log.warning("breaker_closed", extra={"breaker": guard.breaker.name})
            self._release(guard)
        elif change is not None:
            length = to_text(guard.breaker.window_ms)
            why = f"{window.failures} of {window.runs} runs failed within {length}"
            if change is Change.REOPENED:
                why = f"a probe failed: job {delivery.id}"
            self._opened(guard, why, now_ms)
        elif how is Health.UNKNOWN and guard.circuit.has_probe(now_ms):
            self._release(guard, 1)

    def _opened(self, guard: BreakerGuard, why: str, now_ms: int) -> None:
        name, until_ms = guard.breaker.name, guard.circuit.until_ms
        assert until_ms is not None, "it has opened"  # noqa: S101
        self._openings[name][OWN] += 1
        self._recalls = True
        extra = {"breaker": name, "why": why, **self._stands(guard, now_ms), "fix": FIX}
        log.error("breaker_opened", extra=extra)
        known = self._orders.openings.get(name)
        if self._tell is not None and (known is None or known.expires_ms < until_ms - TOLD_MS):
            self._tell(name, why, until_ms - now_ms)

    def _release(self, guard: BreakerGuard, most: int | None = None) -> None:
        waiting = self._waiting[guard.breaker.name]
        for delivery in list(islice(waiting, most)):
            del waiting[delivery]
            self._freed.add((delivery,))

    @staticmethod
    def _stands(guard: BreakerGuard, now_ms: int) -> dict[str, object]:
        until_ms = guard.until_ms(now_ms)
        left_s = None if until_ms is None else round((until_ms - now_ms) / 1000, 1)
        return {"state": guard.state(now_ms).name.lower(), "seconds": left_s}
