"""Steps 5 to 12 of a job's way, on the event loop's thread, from begin to finish.

The engine never reads a topic, never publishes and never commits: records come in through `accept`,
decisions leave through `put`, and come back through `settled` once everything they wrote is
acknowledged. Only then is an offset finished.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobstream_processors.core.decide import FINISH, DeadLetter, Leave, Retry, WaitInPlace, decide
from jobstream_processors.core.orders import NOTHING, Orders
from jobstream_processors.core.outcome import DONE, Cancelled, Done, Interrupted, Unreadable
from jobstream_processors.engine.gate import Gate, Hands
from jobstream_processors.engine.horizon import Horizon
from jobstream_processors.engine.in_place import IN_PLACE, set_again
from jobstream_processors.watch.failure_log import FailureLog
from jobstream_processors.watch.missing_code import MissingCode

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.assignment.skipped import Lookout
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Decided, Delivery
    from jobstream_processors.engine.intake import Intake, Taken
    from jobstream_processors.execute.running import Executor
    from jobstream_processors.meter import Meter
    from jobstream_processors.ports import Clock, Record

log = logging.getLogger("jobstream.worker")

Failed = Callable[["Delivery", "Outcome | None", "Decision"], None]
"""Told of an end that is no success; without an outcome, the delivery never ran."""
SHOW_TICKS = 8
"""Watermarks are shown to the committing threads every so many ticks: sorting ranges costs."""


class Engine:
    """Runs the deliveries of every lane of one process."""

    def __init__(
        self,
        intake: Intake,
        clock: Clock,
        put: Callable[[list[Decided]], None],
        loop: asyncio.AbstractEventLoop,
        meter: Meter | None = None,
    ) -> None:
        self._intake = intake
        self._clock = clock
        self._put = put
        self._loop = loop
        self._meter = meter
        self._executors: Mapping[str, Executor] = {}
        self._failed: Failed | None = None
        self._lookout: Lookout | None = None
        self._out: list[Decided] = []
        self.horizon = Horizon(self.ended)
        hands = Hands(
            submit=self.horizon.submit,
            stop=self.horizon.stop,
            withdraw=self.horizon.withdraw,
            free_key=self._free_key,
            decided=self._decided,
            monotonic_ms=clock.monotonic_ms,
        )
        self._gate = Gate(hands)
        self.obeyed: Orders = NOTHING
        self._lanes: set[Lane] = set()
        self._missing = MissingCode()
        self._failures = FailureLog(clock.monotonic_ms)
        self._warned: set[str] = set()
        self._ticks = 0

    def run_on(
        self,
        executors: Mapping[str, Executor],
        failed: Failed | None = None,
        lookout: Lookout | None = None,
        *,
        tracebacks: bool = False,
    ) -> None:
        """Give the engine its executors, by name, and who is told of runs that did not succeed.

        `lookout` minds offsets that were skipped; without one the watermark stays before them.
        With `tracebacks` the log has those of every failed run.
        """
        self._failures.tracebacks = tracebacks
        self._executors = self.horizon.executors = executors
        self._failed = failed
        self._lookout = lookout

    @property
    def idle(self) -> bool:
        """Whether nothing runs, waits for a slot or waits to be settled."""
        return not self._intake.inflight and not any(e.busy for e in self._executors.values())

    @property
    def stuck(self) -> int:
        """Runs past their time limit that still hold a slot."""
        return sum(e.stuck for e in self._executors.values())

    def running(self) -> list[tuple[Delivery, float]]:
        """Deliveries that hold a slot, and when their handlers began. Safe from any thread."""
        return [run for executor in self._executors.values() for run in executor.running()]

    @property
    def stepping(self) -> str:
        """The job type whose handler has the event loop; "" if none. Safe from any thread."""
        delivery = next((e.stepping for e in self._executors.values() if e.stepping), None)
        spec = delivery.spec if delivery is not None else None
        return spec.name if spec is not None else ""

    def begin(self, lane: Lane) -> None:
        """A lane is restored and may run jobs."""
        self._lanes.add(lane)
        self._gate.set(lane)

    def obey(self, orders: Orders) -> None:
        """Operators' orders are these from now on; what is under way is held or stopped by them."""
        self._gate.obey(orders, self._lanes, self._intake.inflight)
        self.obeyed = orders
        self.flush()

    def accept(self, handed: Sequence[tuple[Lane, Sequence[Record]]]) -> None:
        """Take records of live lanes, in offset order per lane (steps 5 to 8)."""
        for lane, records in handed:
            if not lane.live or lane.draining:
                continue
            taken = self._intake.take(lane, records)
            if self._gate.cancels:
                taken = list(self._gate.judged(taken))
            self._admit(lane, taken)
        if self.horizon.kept:
            self.horizon.look(self._lanes, self._clock.monotonic_ms())
        self.flush()

    def ended(self, delivery: Delivery, outcome: Outcome, *, running: bool = False) -> None:
        """Step 10: from an executor, with the outcome of a run."""
        lane = delivery.lane
        if outcome is DONE and lane.live and not lane.flood.deaths:
            # The usual end, kept short: nothing to weigh, nothing to warn of.
            delivery.running = False
            if delivery.key is not None and not delivery.holds_key:
                self._free_key(delivery)
            self._settle(delivery, FINISH)
            return
        delivery.running = running
        if not lane.live:
            delivery.error = None
            self._release(delivery)
            return
        if type(outcome) is Done:
            if outcome.returned:
                self._warn_returned(delivery)
            if lane.flood.deaths:
                self._gate.lived(lane)
            decision: Decision = FINISH
        else:
            if delivery.unwanted and type(outcome) is not Interrupted:
                outcome = Cancelled(delivery.unwanted)
            decision = decide(self._intake.case(delivery), outcome)
            if delivery.meter is not None:
                delivery.meter.failed(outcome, decision)
            self._failures.tell(delivery, outcome, decision)
            if self._failed is not None:
                self._failed(delivery, outcome, decision)
            delivery.error = None
            self._gate.ended(delivery, outcome, decision)
            if isinstance(outcome, Unreadable) and not isinstance(decision, DeadLetter):
                self._missing.tell(delivery, "jobstream.SchemaMismatch", outcome.message)
        # A job that runs again in place is still the one whose turn it is.
        if not running and not delivery.holds_key and type(decision) not in IN_PLACE:
            self._free_key(delivery)
        self._decided(delivery, decision)

    def returned(self, delivery: Delivery) -> None:
        """A handler that outlived its time limit has stopped: its key is free."""
        delivery.reported = False
        delivery.running = False
        delivery.error = None
        if delivery.finished or not delivery.holds_key:
            self._free_key(delivery)
        if not delivery.lane.live:
            self._release(delivery)  # Its decision was dropped with its lane.

    def settled(self, batch: Sequence[Decided]) -> None:
        """Step 12: everything these decisions wrote is acknowledged."""
        if self._meter is not None:
            self._meter.settled(batch, self._clock)
        for delivery, decision in batch:
            if type(decision) in IN_PLACE:
                self._again_in_place(delivery, decision)
            else:
                self._finish(delivery)

    def tick(self, *, silent: bool = False) -> None:
        """Housekeeping, several times a second: time limits, waits in place, held lanes.

        While it is `silent` around this process, nothing begins.
        """
        if silent is not self._gate.silent:
            self._gate.hush(self._lanes, silent=silent)
        now_ms = self._clock.monotonic_ms()
        for executor in self._executors.values():
            executor.expire()
        later = self._gate.later
        for delivery in [d for d in later if (d.due_ms or 0) <= now_ms and not d.running]:
            later.discard(delivery)
            delivery.due_ms = None
            self._start(delivery)
        for lane in self._lanes:
            if lane.held:
                self._gate.release(lane)
            if lane.watermark.holes and self._lookout is not None:
                self._lookout.mind(lane)
            if not self._ticks % SHOW_TICKS:
                lane.show()
        self.horizon.look(self._lanes, now_ms)
        self._failures.tick(now_ms)
        self._ticks += 1
        if self._meter is not None:
            self._meter.fold()
        self.flush()

    def drain(self, lane: Lane) -> None:
        """Start nothing more of `lane`; what runs may end and settle."""
        lane.draining = True
        self._gate.forget(lane)
        self.horizon.withdraw(lane)
        self._forget(lane)

    def under_way(self, lanes: Collection[Lane]) -> list[Delivery]:
        """What is in flight of these lanes. Safe from any thread."""
        return [d for d in list(self._intake.inflight.values()) if d.lane in lanes]

    def unfinished(self, lane: Lane) -> list[Delivery]:
        """What is in flight of `lane`, and what still runs of its partition's earlier lanes."""
        earlier = [d for d, _ in self.running() if d.lane.source == lane.source]
        return self.under_way([lane]) + [d for d in earlier if d.lane is not lane]

    def cut(self, lane: Lane) -> None:
        """Stop what runs of a draining lane: a coroutine, a child process; a thread goes on."""
        for executor in self._executors.values():
            executor.interrupt(lane)

    def end(self, lane: Lane) -> None:
        """The lane's assignment is over: nothing of it is settled or finished any more."""
        self.drain(lane)
        lane.end()
        self._lanes.discard(lane)
        if self._lookout is not None:
            self._lookout.forget(lane)
        for executor in self._executors.values():
            executor.interrupt(lane)
        self._forget(lane)

    def close(self) -> None:
        """Release the executors; every lane has ended."""
        self._failures.tick()
        for executor in self._executors.values():
            executor.close()

    def flush(self) -> None:
        """Hand what was decided to the settler."""
        if self._out:
            out, self._out = self._out, []
            self._put(out)

    def _admit(self, lane: Lane, taken: Iterable[Taken]) -> None:
        """Step 8: the order key, then the partition's guards."""
        is_open = not (lane.draining or lane.held or lane.gates)
        free: list[Delivery] = []
        for delivery, decision in taken:
            if decision is not None:
                delivery.key = None  # It has no part in its order key.
                self._end_unrun(delivery, decision)
            elif (key := delivery.key) is None or lane.chains.take(key, delivery):
                if is_open and delivery.due_ms is None:
                    free.append(delivery)
                else:
                    self._start(delivery)
        self.horizon.submit(lane, free)

    def _start(self, delivery: Delivery) -> None:
        """Begin a run, or hold it: a wait in place, the flood guard, an operator's pause."""
        lane = delivery.lane
        if lane.draining:
            self._release(delivery)
        elif delivery.due_ms is not None:
            self._gate.later.add(delivery)
        elif delivery.awaits_run:
            self._judge_again(delivery)
        elif lane.held or lane.gates:
            self._gate.keep(delivery)
        else:
            self.horizon.submit(lane, (delivery,))

    def _judge_again(self, delivery: Delivery) -> None:
        """The run that it waited for is over, and it has its order key."""
        judged = next(self._gate.judged(self._intake.again(delivery)), None)
        if judged is None:
            self._free_key(delivery)
            self._release(delivery)
        elif (decision := judged[1]) is None:
            self._start(delivery)
        else:
            if not delivery.holds_key:
                self._free_key(delivery)
            self._end_unrun(delivery, decision)

    def _end_unrun(self, delivery: Delivery, decision: Decision) -> None:
        """Decided without a run."""
        if isinstance(decision, DeadLetter):
            self._failures.tell(delivery, None, decision)
            if self._failed is not None:
                self._failed(delivery, None, decision)
        elif isinstance(decision, Retry) and delivery.spec is None:
            self._missing.tell(delivery, decision.carried.error, decision.carried.message)
        self._decided(delivery, decision)

    def _decided(self, delivery: Delivery, decision: Decision) -> None:
        if type(decision) is Leave:
            self._release(delivery)
        elif type(decision) is WaitInPlace:
            self._again_in_place(delivery, decision)
        else:
            self._settle(delivery, decision)

    def _settle(self, delivery: Delivery, decision: Decision) -> None:
        delivery.decided = decision
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append((delivery, decision))

    def _finish(self, delivery: Delivery) -> None:
        lane = delivery.lane
        self._intake.release(delivery)
        if lane.live:
            lane.finish(delivery.offset)
            if delivery.holds_key and not delivery.running:
                self._free_key(delivery)
        delivery.finished = True
        if self._intake.waiting:
            self._readmit(delivery)

    def _release(self, delivery: Delivery) -> None:
        """It is in flight no more, unfinished: others of its id need not wait for it."""
        self._intake.release(delivery)
        heir = self._intake.heir_of(delivery)
        if heir is not None and heir in self._gate.later:
            self._gate.later.discard(heir)
            self._start(heir)
        if self._intake.waiting:
            self._readmit(delivery)

    def _forget(self, lane: Lane) -> None:
        for delivery in self._intake.forget(lane):
            self._readmit(delivery)

    def _readmit(self, delivery: Delivery) -> None:
        """Judge again whatever waited for this id."""
        for taken in self._gate.judged(self._intake.waiters(delivery)):
            self._admit(taken[0].lane, (taken,))

    def _free_key(self, delivery: Delivery) -> None:
        key, delivery.key = delivery.key, None
        if key is None or not delivery.lane.live:
            return
        following = delivery.lane.chains.free(key)
        if following is not None:
            self._start(following)

    def _again_in_place(self, delivery: Delivery, decision: Decision) -> None:
        if not delivery.lane.live or delivery.lane.draining:
            self._release(delivery)
            return
        set_again(delivery, decision, self._clock)
        self._gate.later.add(delivery)
        if self._gate.cancels:
            self._gate.cancel(delivery)

    def _warn_returned(self, delivery: Delivery) -> None:
        spec = delivery.spec
        if spec is not None and spec.name not in self._warned:
            self._warned.add(spec.name)
            told = {"job": spec.name, "fix": "return nothing; the value is thrown away"}
            log.warning("handler_returned_a_value", extra=told)
