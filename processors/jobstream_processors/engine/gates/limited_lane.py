"""What the limits of job types stand at in one lane: starts that are paid for, and slots.

The owner of a partition counts for it alone. What owners before did is known by rows of the dedup
table where it reaches far, and is otherwise taken for used up. Used on the event loop's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jobstream_processors.core.gcra import NEAR_MS, Gcra, Metered, name_at
from jobstream_processors.core.key_slots import Slots
from jobstream_processors.core.known import LIMIT_PREFIX
from jobstream_processors.core.verdict import MOMENT_MS, NotBefore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.gcra import CellRate
    from jobstream_processors.delivery import Delivery

RATE: Final = "rate"
CONCURRENCY: Final = "concurrency"
KEYS_MIN: Final = 10_000
"""So many keys are kept before any that is idle is dropped."""
Keyed = tuple[str, "CellRate | int"]
"""A limit as it stands for one delivery: its key, and its pace or number of slots."""


class LimitedLane:
    """The keys of one lane."""

    def __init__(self, lane: Lane, now_ms: int) -> None:
        self._lane = lane
        self._since_ms = now_ms
        self._meters: dict[str, Gcra] = {}
        self._slots: dict[str, Slots[Delivery]] = {}
        self._due: dict[Delivery, int] = {}
        """The moment that each was promised, of those that have not begun."""
        self._waits: dict[Delivery, list[Slots[Delivery]]] = {}
        """Where each waits in memory, of those that wait for a slot."""
        self._asked: Sequence[Keyed] = ()
        """The limits of the delivery that was asked about last."""
        self._asked_ms = now_ms
        self.keyed: dict[tuple[str, str], Sequence[Keyed]] = {}
        """The limits of jobs by type and limit key, as the gate found them; as many as the keys."""
        self.running: dict[Delivery, list[Slots[Delivery]]] = {}
        self._suspects = 0
        if lane.unclean:
            self._suspects = max(0, lane.suspect_before - lane.watermark.position)
        self._is_certain = not (lane.unclean or lane.left.runs)
        self._sweep_at = KEYS_MIN

    def ask(
        self, delivery: Delivery, limits: Sequence[Keyed], now_ms: int, mean_ms: float
    ) -> NotBefore | None:
        """None if it may begin; else when its turn is, by the first limit that says so."""
        if len(self._meters) + len(self._slots) >= self._sweep_at:
            self._sweep(now_ms)
        self._asked, self._asked_ms = limits, now_ms
        meters: list[Metered] = []
        for name, limit in limits:
            if isinstance(limit, int):
                if (wait := self._slot(delivery, name, limit, now_ms, mean_ms)) is not None:
                    return wait
            else:
                meters.append(Metered(name, self._meter(name, limit, now_ms)))
        if not meters:
            return None
        delivery.limited = tuple(meters)
        due_ms = self._due.get(delivery)
        if due_ms is None:
            carried = delivery.carried
            if carried.waits == RATE and carried.due_ms is not None:
                due_ms = carried.due_ms  # It was promised that, by this owner or one before.
            else:
                due_ms = max(each.meter.promise(now_ms) for each in meters)
        if due_ms <= now_ms:
            # Others may have come late and started just now.
            late = [m for _, m in meters if m.may_start_at(now_ms) > now_ms]
            due_ms = max((meter.promise_late(now_ms) for meter in late), default=due_ms)
        self._due[delivery] = due_ms
        return NotBefore(RATE, due_ms) if due_ms > now_ms else None

    def begins(self, delivery: Delivery) -> None:
        """The one that was asked about last begins: its start is paid, and it has its slots."""
        self.gone(delivery, comes_back=True)
        for _, meter in delivery.limited:
            meter.started(self._asked_ms)
        taken = [self._slots[name] for name, limit in self._asked if isinstance(limit, int)]
        for slots in taken:
            slots.running += 1
        self.running[delivery] = taken

    def stopped(self, delivery: Delivery) -> list[Delivery]:
        """It runs no more; returns those that may have its slots."""
        heirs: list[Delivery] = []
        for slots in self.running.pop(delivery, ()):
            slots.running -= 1
            if (heir := next(iter(slots.waiting), None)) is not None:
                heirs.append(heir)
        return heirs

    def back(self, delivery: Delivery) -> list[Delivery]:
        """It did not begin after all. What was paid stays paid, but it keeps its place."""
        if delivery.limited and delivery in self.running:
            self._due[delivery] = 0
        return self.stopped(delivery)

    def gone(self, delivery: Delivery, *, comes_back: bool = False) -> None:
        """It has ended, or left; unless it `comes_back` for what it was promised, that is free."""
        if self._due.pop(delivery, None) is not None and not comes_back:
            for each in delivery.limited:
                each.meter.take_back()
        for slots in self._waits.pop(delivery, ()):
            slots.waiting.pop(delivery, None)

    def may_reach_far(self, delivery: Delivery) -> bool:
        """Whether the next owner may have to read in the table how far its rates are used up.

        It is looked at again when the row would be written; for most jobs this is enough.
        """
        near_ms = self._asked_ms + NEAR_MS
        return any(meter.promised_ms > near_ms for _, meter in delivery.limited)

    def slow(self, delivery: Delivery, until_ms: int) -> None:
        """Nothing that shares its keys starts before that time."""
        for name, meter in delivery.limited:
            meter.slow(until_ms)  # Of this its row tells.
            # It may have been dropped as idle while the job ran, and another made since.
            self._meters.setdefault(name, meter).slow(until_ms)
        for slots in self.running.get(delivery, ()):
            slots.blocked_ms = max(slots.blocked_ms, until_ms)

    def _slot(
        self, delivery: Delivery, name: str, most: int, now_ms: int, mean_ms: float
    ) -> NotBefore | None:
        slots = self._slots.get(name)
        if slots is None:
            slots = self._slots[name] = Slots()
        elsewhere, until_ms = self._elsewhere(delivery, now_ms)
        if slots.running + elsewhere < most and slots.blocked_ms <= now_ms:
            return None
        if elsewhere and slots.running < most and slots.blocked_ms <= now_ms:
            return NotBefore(CONCURRENCY, until_ms)
        if delivery in slots.waiting:
            return NotBefore(CONCURRENCY, now_ms + MOMENT_MS)
        wait = NotBefore(CONCURRENCY, slots.turn_ms(now_ms, most, mean_ms))
        if wait.is_near(now_ms) or delivery.key is not None:
            slots.waiting[delivery] = None
            self._waits.setdefault(delivery, []).append(slots)
        else:
            slots.leaves(wait.until_ms)
        return wait

    def _elsewhere(self, delivery: Delivery, now_ms: int) -> tuple[int, int]:
        """How many runs of owners before may go on, and until when: any key may be theirs."""
        lane, until_ms, count = self._lane, 0, 0
        for low, high, ends_ms in lane.left.runs:
            if ends_ms > now_ms and not low <= delivery.offset < high:
                count, until_ms = count + high - low, max(until_ms, ends_ms)
        if self._suspects and delivery.spec is not None:
            ends_ms = self._since_ms + delivery.spec.timeout_ms
            others = self._suspects - (delivery.offset < lane.suspect_before)
            if ends_ms > now_ms and others:
                count, until_ms = count + others, max(until_ms, ends_ms)
        return count, until_ms

    def _meter(self, name: str, pace: CellRate, now_ms: int) -> Gcra:
        meter = self._meters.get(name)
        if meter is None:
            meter = self._meters[name] = self._taken_over(name, pace)
        elif meter.pace is not pace:
            meter.change_pace(pace, now_ms)
        return meter

    def _taken_over(self, name: str, pace: CellRate) -> Gcra:
        """As far as it is paid by owners before."""
        if self._lane.is_first:
            return Gcra(pace)
        known, slowed = self._lane.shard.get([name_at(name, pace), name])
        span_ms = pace.span_ms if not self._is_certain else min(pace.span_ms, NEAR_MS)
        paid_ms = self._since_ms + span_ms
        meter = Gcra(pace, paid_ms)
        if known is not None:
            meter = Gcra(pace, max(paid_ms, known.ended[0]), known.moved[0])
        if slowed is not None and slowed.moved[0] > self._since_ms:
            meter.slow(slowed.moved[0])
        return meter

    def _sweep(self, now_ms: int) -> None:
        """Drop the keys that stand as if nothing had started, now and then."""
        self._meters = {n: m for n, m in self._meters.items() if not m.is_idle(now_ms)}
        self._slots = {n: s for n, s in self._slots.items() if not s.is_idle(now_ms)}
        self.keyed.clear()
        self._sweep_at = KEYS_MIN + 2 * (len(self._meters) + len(self._slots))


def row_name(key: str, number: int) -> str:
    """The name of the limit with that number in its type, for one key."""
    return f"{LIMIT_PREFIX}{key}:{number}"
