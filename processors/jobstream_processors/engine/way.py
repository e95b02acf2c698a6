"""The way of a job through a worker, on the event loop's thread: `Way.carry` has its steps.

Records come in through `carry`. Decisions leave through `put`, and come back through `settled` once
everything that they wrote is acknowledged: only then is an offset finished.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.decide import FINISH, Leave, LetGo, WaitInPlace, decide
from jobstream_processors.core.headers import FIRST
from jobstream_processors.core.outcome import DONE, Cancelled, Done, Interrupted
from jobstream_processors.delivery import BEHIND, DECIDED, FINISHED, HANDED, LEFT
from jobstream_processors.engine.admission import Admission, all_gates
from jobstream_processors.engine.halting import ask_again, look
from jobstream_processors.engine.horizon import Horizon, parted
from jobstream_processors.engine.in_place import IN_PLACE, again
from jobstream_processors.engine.turns import Turns
from jobstream_processors.engine.waiting import KEY, LATER
from jobstream_processors.job_types import PROCESS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Decided, Delivery
    from jobstream_processors.engine.gates.gate import Gate
    from jobstream_processors.engine.intake import Intake
    from jobstream_processors.engine.judge import Judge, Taken
    from jobstream_processors.engine.waiting import WaitingRoom
    from jobstream_processors.engine.witness import Witness
    from jobstream_processors.execute.running import Executes
    from jobstream_processors.meter import Meter
    from jobstream_processors.ports import Clock, Record


class Way:
    """Takes the deliveries of every lane of one process from step to step."""

    executors: Mapping[str, Executes]
    witness: Witness

    def __init__(  # noqa: PLR0917 - the parts of one composition
        self,
        intake: Intake,
        judge: Judge,
        clock: Clock,
        put: Callable[[list[Decided]], None],
        loop: asyncio.AbstractEventLoop,
        meter: Meter | None = None,
        gates: tuple[Gate, ...] | None = None,
    ) -> None:
        self._intake, self.judge = intake, judge
        self.waiting, self.rooms = judge.waiting, judge.waiting.rooms
        self.admission = Admission(gates or all_gates(), clock.monotonic_ms)
        self.turns = Turns(self.admission.gates, clock, self.rooms, judge.case)
        self.horizon = Horizon(clock.monotonic_ms)
        self.clock, self._meter, self._put, self._loop = clock, meter, put, loop
        self._out: list[Decided] = []

    def carry(
        self,
        handed: Sequence[tuple[Lane, Sequence[Record]]] = (),
        ended: Iterable[tuple[Delivery, Outcome]] = (),
        settled: Sequence[Decided] = (),
    ) -> None:
        """Take deliveries on from where they stand: handed over, ended or settled."""
        # 1 submit: `Job.enqueue` checks the options, and derives id and partition
        # 2 encode: the client makes the event of them
        # 3 send: it appends the record, and waits for the acknowledgement
        for lane, records in handed:  # 4 poll: the feed hands over what it polled
            room = self.rooms.get(lane)
            if room is None or room.draining:
                continue
            fresh, kept = self._intake.begin(lane, records)  # 5 begin
            self._intake.read(fresh, kept)  # 6 read
            taken = self._intake.judge(lane, fresh, self.judge)  # 7 judge
            free = self._admit(room, taken)  # 8 admit
            self.execute(room, free)  # 9 execute: its end comes back as `ended`
        for delivery, outcome in ended:
            decision = self._decide(delivery, outcome)  # 10 decide
            if decision is not None:
                self.settle(delivery, decision)  # 11 settle: through `put`, back as `settled`
        if settled:
            self._finish(settled)  # 12 finish
        # 13 commit: the feed, up to what `tick` shows of each watermark once a mirror has it
        if handed and self.horizon.kept:
            self.horizon.look(self.rooms.values(), self.executors)

    def ended(self, delivery: Delivery, outcome: Outcome) -> None:
        """From an executor, with the outcome of a run; `returned` follows if it goes on."""
        is_plain = not (delivery.gated or self.admission.is_wary) and delivery.lane.live
        if outcome is not DONE or not is_plain:
            self.carry((), ((delivery, outcome),))
            return
        # The usual end, steps 10 and 11: nothing to weigh, and no gate learns of it.
        if delivery.key is not None and not delivery.holds_key:
            self.free_key(delivery)
        delivery.stage, delivery.decided = DECIDED, FINISH
        out = self._out
        if not out:
            self._loop.call_soon(self.flush)
        out.append((delivery, FINISH))

    def settled(self, batch: Sequence[Decided]) -> None:
        """From the settler: everything that these decisions wrote is acknowledged."""
        self.carry((), (), batch)
        self.ease()

    def _admit(self, room: WaitingRoom, taken: Sequence[Taken]) -> list[Delivery]:
        """Step 8: the order key, then the gates; returns what may begin."""
        if self.admission.ends_some:
            taken = [(d, self.admission.weighed(d, decision)) for d, decision in taken]
        is_open = not (room.shut or room.held or room.sifted or room.draining)
        take = room.chains.take
        free: list[Delivery] = []
        read_ahead = False
        for delivery, judged in taken:
            if delivery.gated and not read_ahead:
                read_ahead = self.turns.expect(room, taken)
            decision = self.turns.meets(room, delivery, judged) if delivery.gated else judged
            if decision is not None:
                delivery.key = None  # It has no part in its order key.
                self.witness.unrun(delivery, decision)
                self.settle(delivery, decision)
            elif (key := delivery.key) is not None and not take(key, delivery):
                delivery.waits = KEY
            elif is_open and delivery.due_ms is None:
                free.append(delivery)
            else:
                self.start(delivery)
        if read_ahead:
            self.turns.expect(room, ())
        return free

    def execute(self, room: WaitingRoom, deliveries: Sequence[Delivery]) -> None:
        """Step 9: let them begin when slots are free, or when their mirror has announced that."""
        late: Sequence[Delivery] = ()
        if deliveries and deliveries[-1].offset >= room.lane.may_begin:
            deliveries, late = parted(room, deliveries)
        executors = self.executors
        for delivery in deliveries:
            if delivery.gated and not self._has_turn(room, delivery):
                continue
            delivery.stage = HANDED
            spec = delivery.spec
            assert spec is not None, "admitted deliveries have a handler"  # noqa: S101
            executors[PROCESS if delivery.in_child else spec.executor].submit(delivery)
        if late:  # Their rules are asked before: what waits for long needs no announcement.
            late = [d for d in late if not d.gated or self._has_turn(room, d, begins=False)]
            self.horizon.keep(room, late)

    def _has_turn(self, room: WaitingRoom, delivery: Delivery, *, begins: bool = True) -> bool:
        """Whether its rules let it begin now; if not, it waits, ends or leaves for the ladder."""
        decision = self.turns.ask(room, delivery, begins=begins)
        if room.shut:
            self.admission.answered(room, delivery, decision)
        if decision is None:
            return delivery.waits is None
        if not delivery.holds_key and type(decision) is not LetGo:
            # Not at once: the next of its key may come here, too.
            self._loop.call_soon(self.free_key, delivery)
        self.witness.unrun(delivery, decision)
        self.settle(delivery, decision)
        return False

    def ease(self) -> None:
        """Begin what has its turn now, as far as nothing else keeps it by now."""
        if self.turns.kept:
            for delivery in self.turns.due():
                self.start(delivery)

    def _decide(self, delivery: Delivery, outcome: Outcome) -> Decision | None:
        """Step 10: what a run comes to; None if its lane has ended."""
        room = self.rooms.get(delivery.lane)
        if room is None:
            delivery.error = None
            self.release(delivery)
            return None
        decision: Decision = FINISH
        if type(outcome) is Done:
            self.witness.done(delivery, outcome)
        else:
            if delivery.unwanted and type(outcome) is not Interrupted:
                outcome = Cancelled(delivery.unwanted)
            decision = decide(self.judge.case(delivery), outcome)
            if delivery.meter is not None:
                delivery.meter.failed(outcome, decision)
            self.witness.ran(delivery, outcome, decision)
            delivery.error = None
        self.admission.learn(room, delivery, outcome, decision)
        look(self, room)
        if delivery.gated and self.turns.recalls():
            ask_again(self, self.rooms.values())
        self.ease()
        # A job that runs again in place is still the one whose turn it is.
        if not delivery.outlived and not delivery.holds_key and type(decision) not in IN_PLACE:
            self.free_key(delivery)
        return decision

    def settle(self, delivery: Delivery, decision: Decision) -> None:
        """Step 11: hand the decision to the settler, unless it writes nothing."""
        if type(decision) is Leave:
            self.release(delivery)
        elif type(decision) is WaitInPlace:
            again(self, delivery, decision)
        else:
            delivery.stage, delivery.decided = DECIDED, decision
            if not self._out:
                self._loop.call_soon(self.flush)
            self._out.append((delivery, decision))

    def _finish(self, batch: Sequence[Decided]) -> None:
        """Step 12: everything these decisions wrote is acknowledged."""
        counted, clock = self._meter, self.clock
        awake_ms = clock.awake_s() * 1_000
        inflight, of_id = self.judge.inflight, self.waiting.of_id
        for delivery, decision in batch:
            meter = delivery.meter
            if meter is not None and decision is FINISH and delivery.carried is FIRST:
                meter.firsts.append(awake_ms - delivery.appended)  # As nearly every job ends.
            elif counted is not None:
                counted.settled(delivery, decision, clock)
            if delivery.gated:
                self.turns.settled(delivery, decision)
            if decision is not FINISH and type(decision) in IN_PLACE:
                again(self, delivery, decision)
                continue
            if inflight.get(delivery.id) is delivery:
                del inflight[delivery.id]
            lane = delivery.lane
            if lane.live:
                lane.finish(delivery.offset)
                delivery.stage = FINISHED
                if delivery.holds_key and not delivery.outlived:
                    self.free_key(delivery)
            if of_id:
                self.readmit(delivery)

    def start(self, delivery: Delivery) -> None:
        """Begin a run, or let it wait for its time, the gates or the mirror."""
        room = self.rooms.get(delivery.lane)
        if room is None or room.draining:
            self.release(delivery)
        elif delivery.due_ms is not None:
            room.put_off(delivery)
        elif delivery.stage is BEHIND:
            self._judge_again(delivery)
        elif self.admission.lets(room, delivery):
            self.execute(room, (delivery,))

    def _judge_again(self, delivery: Delivery) -> None:
        """The run that it was behind is over, and it has its order key."""
        judged = self.judge.again(delivery)
        if judged is None:
            self.turns.settled(delivery, FINISH)
            self.free_key(delivery)
            self.release(delivery)
        elif (decision := self.admission.weighed(*judged)) is None:
            self.start(delivery)
        else:
            if not delivery.holds_key:
                self.free_key(delivery)
            self.witness.unrun(delivery, decision)
            self.settle(delivery, decision)

    def free_key(self, delivery: Delivery) -> None:
        """Let the next delivery of its order key go on."""
        key, delivery.key = delivery.key, None
        room = self.rooms.get(delivery.lane)
        if key is not None and room is not None and (following := room.next_of(key)) is not None:
            self.start(following)

    def release(self, delivery: Delivery) -> None:
        """It is in flight no more, unfinished: others of its id need not wait for it."""
        if delivery.stage is not FINISHED:
            delivery.stage = LEFT
        self.judge.release(delivery)
        heir = self.judge.heir_of(delivery)
        if heir is not None and heir.waits == LATER:
            self.rooms[heir.lane].remove(heir)
            self.start(heir)
        if self.waiting.of_id:
            self.readmit(delivery)

    def readmit(self, delivery: Delivery) -> None:
        """Judge again whatever waited for this id."""
        for taken in self.judge.waiters(delivery):
            room = self.rooms[taken[0].lane]
            self.execute(room, self._admit(room, (taken,)))

    def flush(self) -> None:
        """Hand what was decided to the settler."""
        if self._out:
            out, self._out = self._out, []
            self._put(out)
