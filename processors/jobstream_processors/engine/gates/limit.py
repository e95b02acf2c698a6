"""The limits of job types: how many of their jobs run at once, and start in a time.

A job that must wait for a rate takes its start at once and is told its moment, by which it comes
back; one that waits for a slot is told a guess, and asked again. What is counted for each lane is
kept in `limited_lane`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.decide import LetGo, Postpone
from jobstream_processors.core.gcra import CellRate, share_of
from jobstream_processors.core.key_slots import mean_after
from jobstream_processors.core.limit_rule import names_of, numbers_of, told_numbers
from jobstream_processors.core.orders import NOTHING
from jobstream_processors.core.outcome import Again
from jobstream_processors.engine.gates.freed import Freed
from jobstream_processors.engine.gates.gate import Gate
from jobstream_processors.engine.gates.limited_lane import RATE, LimitedLane, row_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.limit_rule import Numbers
    from jobstream_processors.core.orders import Order, Orders
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.core.verdict import NotBefore
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.gates.limited_lane import Keyed
    from jobstream_processors.engine.waiting import WaitingRoom
    from jobstream_processors.job_types import JobSpec
    from jobstream_processors.ports import Clock

RUN_MS_GUESSED = 250.0
"""The run time of a type of which nothing is known."""


class JobLimits(Gate):
    """Counts for every lane of one process."""

    has_rules = True

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._orders: Mapping[str, Order] = NOTHING.limits
        self._lanes: dict[Lane, LimitedLane] = {}
        self._shares: dict[tuple[str, int], list[tuple[bool, CellRate | int]]] = {}
        """By type and partition: whether each limit is per key, and its numbers there."""
        self._mean_ms: dict[str, float] = {}
        """Run times by type."""
        self._began_s: dict[Delivery, float] = {}
        self._freed = Freed()

    def obey(self, orders: Orders) -> Collection[str]:
        """Limits have these numbers from now on; what waits is asked about within a moment."""
        if orders.limits != self._orders:
            self._orders = orders.limits
            self._shares.clear()
            for held in self._lanes.values():
                held.keyed.clear()
        return ()

    def begin(self, room: WaitingRoom) -> None:
        """Know of nothing that starts or runs in the lane but what its table tells."""
        self._lanes[room.lane] = LimitedLane(room.lane, self._clock.broker_ms())

    def forget(self, room: WaitingRoom) -> None:
        """Forget the lane: its next owner counts."""
        if (held := self._lanes.pop(room.lane, None)) is not None:
            for delivery in held.running:
                self._began_s.pop(delivery, None)
            self._freed.forget(room.lane)

    def asks(
        self, room: WaitingRoom, delivery: Delivery, now_ms: int
    ) -> NotBefore | Decision | None:
        """When it is its turn, if not now."""
        spec, held = delivery.spec, self._lanes.get(room.lane)
        if spec is None or not spec.limits or held is None:
            return None
        mean_ms = self._mean_ms.get(spec.name) or float(spec.expect_ms or RUN_MS_GUESSED)
        # A job that was enqueued before its type had the limit has no key: such jobs share one.
        key = (delivery.meta.limit_key if delivery.meta is not None else None) or f"{spec.name}?"
        limits = held.keyed.get((spec.name, key))
        if limits is None:
            limits = held.keyed[spec.name, key] = self._keyed(delivery, spec, key)
        return held.ask(delivery, limits, now_ms, mean_ms)

    def taken(self, room: WaitingRoom, delivery: Delivery) -> None:
        """Count it."""
        held = self._lanes.get(room.lane)
        if held is not None and delivery.spec is not None and delivery.spec.limits:
            held.begins(delivery)
            self._began_s[delivery] = self._clock.awake_s()

    def learn(
        self,
        room: WaitingRoom,
        delivery: Delivery,
        outcome: Outcome,
        decision: Decision,  # noqa: ARG002 - the shape of it
        now_ms: int,  # noqa: ARG002 - as above
    ) -> None:
        """Its run has ended, unless its handler goes on; it may have asked to slow its key down."""
        held, began_s = self._lanes.get(room.lane), self._began_s.get(delivery)
        if held is None or began_s is None or delivery.spec is None:
            return
        if isinstance(outcome, Again) and outcome.slows:
            held.slow(delivery, self._clock.broker_ms() + outcome.delay_ms)
        name = delivery.spec.name
        run_ms = (self._clock.awake_s() - began_s) * 1_000
        self._mean_ms[name] = mean_after(self._mean_ms.get(name, run_ms), run_ms)
        if delivery.limited and not held.may_reach_far(delivery):
            delivery.limited = ()
        if not delivery.outlived:
            self._stopped(held, delivery)

    def returned(self, delivery: Delivery) -> None:
        """Its handler has stopped at last."""
        if (held := self._lanes.get(delivery.lane)) is not None:
            self._stopped(held, delivery)

    def taken_back(self, room: WaitingRoom, deliveries: Collection[Delivery], now_ms: int) -> None:  # noqa: ARG002 - the shape of it
        """They did not begin: others may have their slots."""
        if (held := self._lanes.get(room.lane)) is not None:
            for delivery in deliveries:
                if self._began_s.pop(delivery, None) is not None:
                    self._freed.add(held.back(delivery))

    def settled(self, delivery: Delivery, decision: Decision) -> None:
        """It is not waited for any more, unless it only gave its unique key up, and begins now."""
        held = self._lanes.get(delivery.lane)
        if held is not None and type(decision) is not LetGo:
            has_promise = isinstance(decision, Postpone) and decision.carried.waits == RATE
            held.gone(delivery, comes_back=has_promise)

    def released(self) -> Sequence[Delivery]:
        """Those for whose key a slot is free."""
        return self._freed.take()

    def _stopped(self, held: LimitedLane, delivery: Delivery) -> None:
        self._began_s.pop(delivery, None)
        self._freed.add(held.stopped(delivery))

    def _new_shares(self, spec: JobSpec, partition: int) -> list[tuple[bool, CellRate | int]]:
        found: list[tuple[bool, CellRate | int]] = []
        for limit, name in zip(spec.limits, names_of(spec.name, spec.limits), strict=True):
            order = self._orders.get(name)
            other = told_numbers(order.limits) if order is not None else None
            numbers = numbers_of(limit, spec.partitions, other)
            is_whole = limit.fields is not None or spec.pinned
            place = (0, 1) if is_whole else (partition, spec.partitions)
            found.append((limit.fields is not None, _share(numbers, place)))
        return found

    def _keyed(self, delivery: Delivery, spec: JobSpec, key: str) -> list[Keyed]:
        partition = delivery.lane.source[1]
        shares = self._shares.get((spec.name, partition))
        if shares is None:
            shares = self._shares[spec.name, partition] = self._new_shares(spec, partition)
        return [
            (row_name(key if is_keyed else spec.name, number), limit)
            for number, (is_keyed, limit) in enumerate(shares)
        ]


def _share(numbers: Numbers, place: tuple[int, int]) -> CellRate | int:
    """What the partition may use of these numbers; the shares add up to the whole."""
    if numbers.concurrency:
        return share_of(numbers.concurrency, *place)
    starts, burst = share_of(numbers.starts, *place), share_of(numbers.burst, *place)
    if starts == 0:  # Fewer than partitions: each has one in so many times the period.
        return CellRate(1, -(-numbers.period_ms * place[1] // numbers.starts), 1)
    return CellRate(starts, numbers.period_ms, max(1, burst))
