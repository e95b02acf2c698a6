"""Shares the time of an executor's slots by the weights of the queues whose jobs wait for them.

The line learns of ends by standing before the worker's own ear, so executors only put deliveries in
and take them out. What a start will cost is guessed by the queue's last runs; what a run costs is
counted while it goes on, and made exact at its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.stride import Stride
from jobstream_processors.execute.line_of_queues import InOrder, OneQueue, SeveralQueues

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.execute.line_of_queues import Ended, Returned, Running, SlotLine
    from jobstream_processors.queue_plan import QueuePlan

UNKNOWN_US = 1_000
"""What a start is taken to cost while no run of any queue has ended yet, in microseconds."""
LOOK_S = 0.05
"""How often runs that go on are counted for as long as they have run."""


class ByWeight(SeveralQueues):
    """The slots' time is shared by the queues' weights, as far as they have work."""

    def __init__(self, weights: Mapping[str, int], now_s: Callable[[], float]) -> None:
        super().__init__(weights)
        self._now_s = now_s
        self._stride = Stride([*weights.values()])
        self._means = [0] * len(weights)
        """How long each queue's last jobs ran, in microseconds; 0 while that is not known."""
        self._so_far = [0] * len(weights)
        """How long, in the mean, those that run now had gone on when that was looked at last, and
        none of the queue had ended. One that hangs says nothing of those that end beside it."""
        self._ended_s = [0.0] * len(weights)
        """When a run of each queue ended last."""
        self._slots: dict[Delivery, tuple[float, int, int]] = {}
        """What has a slot: since when, what is counted of it, and what is expected beyond that."""
        self._look_s = 0.0
        self._running: Running = list
        self._alone = OneQueue()
        """The line of the only queue that has jobs here. Nothing is counted while there is one."""
        self._alone_queue = ""
        """Its name; "" while there are several."""

    def __len__(self) -> int:
        return len(self._alone) if self._alone_queue else self._count

    def append(self, delivery: Delivery, /) -> None:
        """It waits, behind those of its queue."""
        if delivery.lane.queue == self._alone_queue:
            self._alone.append(delivery)
            return
        if self._alone_queue:
            self._joined()
        super().append(delivery)

    def popleft(self) -> Delivery:
        """Take out the next one; it has a slot."""
        return self._alone.popleft() if self._alone_queue else super().popleft()

    def first(self) -> Delivery:
        """The one that `popleft` would take out."""
        return self._alone.first() if self._alone_queue else super().first()

    def take(self, first: Delivery) -> None:
        """Take out the first one of its queue; it has a slot."""
        if self._alone_queue:
            self._alone.take(first)
        else:
            super().take(first)

    def remove(self, delivery: Delivery, /) -> None:
        """Take it out without a slot."""
        if self._alone_queue:
            self._alone.remove(delivery)
        else:
            super().remove(delivery)

    def withdraw(self, lane: Lane) -> list[Delivery]:
        """Take out those of the lane, without slots."""
        return self._alone.withdraw(lane) if self._alone_queue else super().withdraw(lane)

    def put_back(self, delivery: Delivery, turns: Mapping[Delivery, int]) -> None:
        """It waits again, as if it had never had a slot."""
        if delivery.lane.queue == self._alone_queue:
            self._alone.put_back(delivery, turns)
            return
        if self._alone_queue:
            self._joined()
        super().put_back(delivery, turns)

    def beside(self, queue: str) -> int:
        """How many wait that are of other queues."""
        if self._alone_queue:
            return 0 if queue == self._alone_queue else len(self._alone)
        return super().beside(queue)

    def ear(self, ended: Ended, returned: Returned, running: Running) -> tuple[Ended, Returned]:
        """Give back each slot first."""
        self._running = running

        def hears_end(delivery: Delivery, outcome: Outcome) -> None:
            if self._slots and not delivery.outlived:  # else its slot is still taken
                self._ends(delivery)
            ended(delivery, outcome)

        def hears_return(delivery: Delivery) -> None:
            self._ends(delivery)
            returned(delivery)

        return hears_end, hears_return

    def _enter(self, number: int) -> None:
        if not self._some:
            self._look()
        self._stride.enter(number, self._some)
        super()._enter(number)
        if len(self._some) == 1 and not self._slots:
            self._is_alone(number)

    def _is_alone(self, number: int) -> None:
        """No other queue has jobs here: then all of the slots are its own, whatever it uses."""
        self._alone = self._lines[number]
        self._alone_queue = next(q for q, each in self._numbers.items() if each == number)
        self._slots.clear()
        self._stride.forget(number)

    def _joined(self) -> None:
        """Another queue has jobs, too: from now on it counts who uses what."""
        number, self._alone_queue = self._numbers[self._alone_queue], ""
        self._count = len(self._alone)
        self._some = {number: None} if self._alone else {}
        self._stride.enter(number, ())
        now_s = self._now_s()
        for delivery, began_s in self._running():
            since_s = began_s or now_s
            took_us = _us(delivery, since_s, now_s)
            self._slots[delivery] = since_s, took_us, 0

    def _next(self) -> int:
        self._look()
        if len(self._some) < 2:  # noqa: PLR2004 - there is nothing to choose
            return super()._next()
        return self._stride.next(self._some)

    def _starts(self, number: int, delivery: Delivery) -> None:
        cost_us = max(self._means[number] or self._guess_us(), self._so_far[number])
        self._stride.start(number, cost_us)
        self._slots[delivery] = self._now_s(), 0, cost_us

    def _ends(self, delivery: Delivery, *, began: bool = True) -> None:
        slot = self._slots.pop(delivery, None)
        if slot is None:
            return  # It never had one.
        since_s, counted_us, left_us = slot
        number = self._numbers[delivery.lane.queue]
        if not began:
            self._stride.count(number, -counted_us, of_guess=left_us)
            return
        self._ended_s[number] = now_s = self._now_s()
        took_us = _us(delivery, since_s, now_s)
        self._stride.count(number, took_us - counted_us, of_guess=left_us)
        mean_us = self._means[number] or took_us
        self._means[number] = max(1, mean_us + (took_us - mean_us) // 8)

    def _look(self) -> None:
        """Count what runs on for as long as it has run: that may be far longer than was guessed."""
        now_s = self._now_s()
        if now_s < self._look_s:
            return
        self._look_s = now_s + LOOK_S
        runs, times_us = [0] * len(self._means), [0] * len(self._means)
        for delivery, (since_s, counted_us, left_us) in self._slots.items():
            if not delivery.began:
                continue  # It stands behind others in a child, and uses nothing.
            took_us, number = _us(delivery, since_s, now_s), self._numbers[delivery.lane.queue]
            runs[number] += 1
            times_us[number] += min(took_us, int((now_s - self._ended_s[number]) * 1_000_000))
            more_us = took_us - counted_us
            expected_us = min(more_us, left_us)
            self._stride.count(number, more_us, of_guess=expected_us)
            self._slots[delivery] = since_s, took_us, left_us - expected_us
        self._so_far = [
            time_us // count if count else 0 for time_us, count in zip(times_us, runs, strict=True)
        ]
        if len(self._some) == 1 and runs[number := next(iter(self._some))] == len(self._slots):
            self._is_alone(number)

    def _guess_us(self) -> int:
        """What a start costs in a queue of which no run has ended yet: as in the others."""
        known = [mean_us for mean_us in self._means if mean_us]
        return sum(known) // len(known) if known else UNKNOWN_US


def _us(delivery: Delivery, since_s: float, now_s: float) -> int:
    """How long it has had its slot, without the time that it waited for it in a child."""
    return max(1, int((now_s - max(delivery.began, since_s)) * 1_000_000))


def line_for(
    plans: Mapping[str, QueuePlan], now_s: Callable[[], float], *, strict: bool
) -> SlotLine:
    """The line of an executor that runs the jobs of these queues."""
    if len(plans) < 2:  # noqa: PLR2004 - one queue needs no choice
        return OneQueue()
    if strict:
        return InOrder(plans)
    return ByWeight({name: plan.weight for name, plan in plans.items()}, now_s)
