"""Runs handlers in child processes that can be killed, so a time limit is real.

Used for CPU-bound job types, and for suspects: jobs that may have killed the partition's last
owner. A child is kept warm and runs one job at a time; only the death of a child while this worker
lives says anything about its job. Children die with their parent.

Jobs that are known to be short are handed to a child ahead, so that it never waits for the worker.
What it has not begun is taken back as soon as another child could begin it, or it would have to
wait behind a job that turned out to be long.
"""

from __future__ import annotations

import asyncio
import heapq
from typing import TYPE_CHECKING

from jobstream_processors.core.outcome import STOPPED, Interrupted
from jobstream_processors.execute.line import Starter
from jobstream_processors.execute.one_child import LEFT_S_MAX, OneChild
from jobstream_processors.execute.outbox import BEGIN_BY_MS, LONG
from jobstream_processors.execute.running import UNBARRED, Executor, measured, no_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.execute.line import ChildLine, LineEar
    from jobstream_processors.execute.line_of_queues import SlotLine
    from jobstream_processors.execute.running import Barred, Ended, EnterChild
    from jobstream_processors.ports import Machine

AHEAD_S = 0.02
"""How much work a child is handed ahead: more than a turn of the loop takes."""
AHEAD_MAX = 200
AHEAD_BYTES_MAX = 1 << 16
"""What the child's stream takes at once, whatever it is doing."""
SHORT_S = 0.01
"""Jobs of a type that runs so long in the mean are handed over one by one."""
BEHIND_S = 0.05
"""Behind a job that runs so long nothing waits."""
OVERHEAD_S = 0.00002
"""What a job costs a child beside its run."""


class ProcessExecutor(Executor):
    """At most `size` child processes, started on demand."""

    def __init__(
        self,
        size: int,
        ended: Ended,
        barred: Barred = UNBARRED,
        begin: Callable[[], None] | None = None,
        *,
        machine: Machine,
        enter: EnterChild = no_entry,
        open_line: Callable[[LineEar], ChildLine] | None = None,
        line: SlotLine | None = None,
        leave_s: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(line)
        self._size = size
        self._leave_s = leave_s
        """How long children that have no job may take to end by themselves; None: no time."""
        self.machine = machine
        self.barred = barred
        self.enter = enter
        """`begin` is what a child does before it imports a handler, such as setting up its log."""
        self._ended, _ = self._waiting.ear(ended, no_entry, self.running)
        self._loop = asyncio.get_running_loop()
        self._starter = Starter(begin)
        self._open_line = open_line or self._starter.line
        self._running: dict[Delivery, OneChild] = {}
        """What a child has, or gets ready for."""
        self._children: list[OneChild] = []
        self._turns: dict[Delivery, int] = {}
        """In which order they came."""
        self._turn = 0
        self._costs: dict[str, float] = {}
        """How long jobs of a type run, the last ones above all."""
        self._fills = self._looks = self._closed = False

    def submit(self, delivery: Delivery) -> None:
        """Run it when a child is free."""
        self._turn += 1
        self._turns[delivery] = self._turn
        self._waiting.append(delivery)
        self._soon()

    def expire(self) -> None:
        """Nothing to do: each child has a timer, in awake time as well."""

    def withdraw(self, lane: Lane) -> list[Delivery]:
        """Take back the deliveries of `lane` that did not start; nothing is reported of them."""
        for child in list(self._children):
            if any(ahead.delivery.lane is lane for ahead in list(child.handed)[1:]):
                self.returns(child.take_back())
        taken = super().withdraw(lane)
        for delivery in taken:
            del self._turns[delivery]
        return taken

    def interrupt(self, lane: Lane) -> None:
        """End what is here of `lane`; children that run its jobs are killed."""
        for delivery in [d for d in self._running if d.lane is lane]:
            self._cut(delivery, Interrupted())
        for delivery in self.withdraw(lane):
            self._ended(delivery, Interrupted())

    def stop(self, delivery: Delivery) -> None:
        """Kill the child that runs it; end it at once if it did not start."""
        self._cut(delivery, STOPPED)

    def close(self) -> None:
        """Stop every child. Idle ones may have something left to do at their end: see `_let_go`."""
        self._closed = True
        if self._leave_s is not None:
            self._let_go(self._leave_s())
        self._starter.close()
        for child in self._children:
            child.close()
        self._children.clear()

    def _let_go(self, limit_s: float) -> None:
        """Blocks for so long, and LEFT_S_MAX, at most: nothing is left to do on the loop by now."""
        until_s = self.machine.awake_s() + min(limit_s, LEFT_S_MAX)
        leaving = [child for child in self._children if child.let_go()]
        for child in self._children:
            if child not in leaving:
                child.close()
        for child in leaving:
            child.ended(max(0.0, until_s - self.machine.awake_s()))

    def _cut(self, delivery: Delivery, outcome: Outcome) -> None:
        child = self._running.get(delivery)
        if child is not None:
            child.cut(delivery, outcome)
        elif delivery in self._turns:
            self._waiting.remove(delivery)
            self.ended(delivery, outcome, 0.0)

    # -- what children tell

    def ended(self, delivery: Delivery, outcome: Outcome, at_s: float) -> None:
        """It ended, or will not begin, by this outcome."""
        self._running.pop(delivery, None)
        del self._turns[delivery]
        spec = delivery.spec
        if delivery.began and spec is not None:
            cost_s = at_s - delivery.began + OVERHEAD_S
            known_s = self._costs.get(spec.name, cost_s)
            self._costs[spec.name] = known_s + (cost_s - known_s) / 8
        measured(delivery, outcome, at_s)
        self._ended(delivery, outcome)

    def returns(self, deliveries: Iterable[Delivery]) -> None:
        """These have not begun: they are the next to begin, in the order in which they came."""
        turns, waiting = self._turns, self._waiting
        for delivery in deliveries:
            del self._running[delivery]
            waiting.put_back(delivery, turns)
            self._soon()

    def free(self, child: OneChild) -> None:  # noqa: ARG002 - each is asked when it is filled
        """It has nothing to do."""
        self._soon()

    def gone(self, child: OneChild) -> None:
        """It is no more."""
        if child in self._children:
            self._children.remove(child)
        self._soon()

    # -- which child gets what

    def _soon(self) -> None:
        """Fill the children once for all that comes in this turn of the loop."""
        if not self._fills:
            self._fills = True
            self._loop.call_soon(self._fill)

    def _fill(self) -> None:
        self._fills = False
        if self._closed:
            return
        idle = self._give()
        if idle and not self._waiting:
            # None idles while another has jobs ahead.
            behind = max(self._children, key=lambda child: len(child.handed))
            if len(behind.handed) > 1:
                self.returns(behind.take_back())
                self._give()
        self._hand_ahead()
        for child in self._children:
            child.out.flush()

    def _give(self) -> bool:
        """Give jobs to those that have none; returns whether some still have none."""
        idle = [child for child in self._children if child.idle]
        while self._waiting:
            delivery = self._waiting.first()
            if self._bars(delivery):
                continue
            if not idle and len(self._children) >= self._size:
                return False
            if not idle:
                child = OneChild(self, self._open_line)
                self._children.append(child)
            else:
                child = next((each for each in idle if each.out.knows(delivery)), idle[-1])
                idle.remove(child)
            self._waiting.take(delivery)
            self._running[delivery] = child
            if child.out.knows(delivery):
                until_ms = self.machine.monotonic_ms() + BEGIN_BY_MS
                child.hand(delivery, self._cost_of(delivery), self.machine.awake_s(), until_ms)
            else:
                child.prepare(delivery)
        return bool(idle)

    def _hand_ahead(self) -> None:
        """Hand out what waits, the same work to each child that will soon get to it."""
        if not self._waiting:
            return
        now_s, until_ms = self.machine.awake_s(), self.machine.monotonic_ms() + BEGIN_BY_MS
        roomy = [
            (child.ahead_s, place, child)
            for place, child in enumerate(self._children)
            if child.is_brisk and (not child.began_s or now_s - child.began_s < BEHIND_S)
        ]
        heapq.heapify(roomy)
        while roomy and self._waiting:
            delivery = self._waiting.first()
            cost_s = self._cost_of(delivery)
            if cost_s == LONG or delivery.expires_ms is not None or delivery.trace is not None:
                break
            ahead_s, place, child = roomy[0]
            if (
                ahead_s + cost_s > AHEAD_S
                or child.out.unread >= AHEAD_MAX
                or child.out.unread_bytes + len(delivery.value) > AHEAD_BYTES_MAX
                or not (child.is_brisk and child.out.knows(delivery))
            ):
                heapq.heappop(roomy)
                continue
            if self._bars(delivery):
                continue
            self._waiting.take(delivery)
            self._running[delivery] = child
            child.hand(delivery, cost_s, now_s, until_ms)
            heapq.heapreplace(roomy, (child.ahead_s, place, child))
            if not self._looks:
                self._looks = True
                self._loop.call_later(BEHIND_S, self._look)

    def _bars(self, delivery: Delivery) -> bool:
        """End the first of those that wait if it must not begin."""
        bar = self.barred(delivery)
        if bar is None:
            return False
        self._waiting.remove(delivery)
        self.ended(delivery, bar, 0.0)
        return True

    def _cost_of(self, delivery: Delivery) -> float:
        """How long it is likely to run; `LONG` unless that is known to be short.

        What may kill its child runs with nothing behind it.
        """
        spec = delivery.spec
        assert spec is not None, "admitted deliveries have a handler"  # noqa: S101
        cost_s = LONG if delivery.in_child else self._costs.get(spec.name, LONG)
        return cost_s if cost_s < SHORT_S else LONG

    def _look(self) -> None:
        """Take back what waits behind a long job; again as long as anything is ahead."""
        self._looks = False
        now_s, ahead = self.machine.awake_s(), False
        for child in list(self._children):
            if len(child.handed) > 1:
                if child.began_s and now_s - child.began_s >= BEHIND_S:
                    self.returns(child.take_back())
                else:
                    ahead = True
        if ahead and not self._looks:
            self._looks = True
            self._loop.call_later(BEHIND_S, self._look)
