"""Jobs of types with `fair_by` take turns: slots go round the tenants of which jobs wait here.

What can't wait here leaves for the ladder until its turn is near, so that a tenant with very many
jobs does not fill a window, and what others have behind them in the partition is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jobstream_processors.core.fair_pool import FairPool, Took, Wish
from jobstream_processors.core.verdict import MOMENT_MS, NotBefore
from jobstream_processors.engine.gates.gate import Gate
from jobstream_processors.job_types import PROCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.waiting import WaitingRoom

FAIR: Final = "fair"
"""It is the turn of other tenants."""
LOOK_MS: Final = 30_000
"""Asking again costs as much as the first time, and changes nothing for one that waits in line."""


class Turnstile(Gate):
    """Lets jobs of each tenant through in turn, for each executor by itself."""

    has_rules = True

    def __init__(self, slots: Mapping[str, int], window: int, awake_s: Callable[[], float]) -> None:
        """`window`: how many jobs of one partition may be taken up."""
        self._pools: dict[str, FairPool[Delivery]] = {
            executor: FairPool(count, window) for executor, count in slots.items()
        }
        self._awake_s = awake_s
        self._rooms: set[WaitingRoom] = set()

    def asks(self, room: WaitingRoom, delivery: Delivery, now_ms: int) -> NotBefore | None:
        """Not before its tenant's turn."""
        wish = _wish(room, delivery)
        pool = self._pool(delivery)
        if wish is None or pool is None:
            return None
        wait_ms = pool.ask(delivery, wish, self._now_ms())
        if wait_ms is None:
            return None
        if wait_ms <= MOMENT_MS:
            return NotBefore(FAIR, now_ms + LOOK_MS, stays=True)
        return NotBefore(FAIR, now_ms + round(wait_ms))

    def taken(self, room: WaitingRoom, delivery: Delivery) -> None:
        """It takes a slot."""
        wish = _wish(room, delivery)
        if wish is not None and (pool := self._pool(delivery)) is not None:
            pool.began(delivery, wish, self._now_ms())

    def learn(
        self,
        room: WaitingRoom,  # noqa: ARG002 - the shape of it
        delivery: Delivery,
        outcome: Outcome,  # noqa: ARG002 - as above
        decision: Decision,  # noqa: ARG002 - as above
        now_ms: int,  # noqa: ARG002 - as above
    ) -> None:
        """It gives its slot back, unless its handler goes on past its limit."""
        if not delivery.outlived:
            self.returned(delivery)

    def returned(self, delivery: Delivery) -> None:
        """Its handler has stopped."""
        if (pool := self._pool(delivery)) is not None:
            now_ms = self._now_ms()
            pool.ended(delivery, now_ms, _took(delivery, now_ms))

    def settled(self, delivery: Delivery, decision: Decision) -> None:  # noqa: ARG002 - as above
        """It waits here no more."""
        if (pool := self._pool(delivery)) is not None:
            pool.drop(delivery)

    def taken_back(
        self,
        room: WaitingRoom,  # noqa: ARG002 - as above
        deliveries: Collection[Delivery],
        now_ms: int,  # noqa: ARG002 - as above
    ) -> None:
        """These did not begin, and wait for another reason: they are asked about anew."""
        for delivery in deliveries:
            if (pool := self._pool(delivery)) is not None:
                pool.ended(delivery, self._now_ms(), ran=False)
                pool.drop(delivery)

    def released(self) -> Sequence[Delivery]:
        """Those whose turn it is, as far as there are slots."""
        now_ms = self._now_ms()
        return [delivery for pool in self._pools.values() for delivery in pool.release(now_ms)]

    def begin(self, room: WaitingRoom) -> None:
        """One more partition shares what may wait here."""
        self._rooms.add(room)
        self._share()

    def forget(self, room: WaitingRoom) -> None:
        """Nothing of it waits here, and what still runs of it is not heard of again."""
        self._rooms.discard(room)
        self._share()
        for pool in self._pools.values():
            pool.forget(room)

    def _share(self) -> None:
        for pool in self._pools.values():
            pool.partitions = max(1, len(self._rooms))

    def _pool(self, delivery: Delivery) -> FairPool[Delivery] | None:
        """That of its executor; None where no rule is asked about it, or no code here runs it."""
        spec = delivery.spec
        if spec is None or not delivery.gated:
            return None
        return self._pools[PROCESS if delivery.in_child else spec.executor]

    def _now_ms(self) -> float:
        return self._awake_s() * 1_000


def _wish(room: WaitingRoom, delivery: Delivery) -> Wish | None:
    """What its pool must know of it; None where its type is not fair."""
    spec, meta = delivery.spec, delivery.meta
    if spec is None or not spec.fair or meta is None:
        return None
    # Jobs from before the type had `fair_by` share one turn.
    tenant, back = meta.fair_key or "", delivery.carried.waits == FAIR
    weight = spec.fair_weights.get(tenant, 1)
    return Wish(tenant, weight, room, len(delivery.value), back)


def _took(delivery: Delivery, now_ms: float) -> Took | None:
    """How long it had its slot, or the loop; None if that is not known, as of child processes."""
    if delivery.kept_loop_s:
        return Took(delivery.kept_loop_s * 1_000, alone=True)
    return Took(now_ms - delivery.began * 1_000) if delivery.began else None
