"""Runs the jobs of a worker: what the feed, the executors, operators and clocks tell it, it does.

The steps of a job stand in `engine/way.py`. Here is what moves jobs beside them: time, orders, and
lanes that come and go. Used on the event loop's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.orders import NOTHING, Orders
from jobstream_processors.engine.executors import Executors
from jobstream_processors.engine.way import Way

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.assignment.skipped import Lookout
    from jobstream_processors.delivery import Decided, Delivery
    from jobstream_processors.engine.gates.gate import Gate
    from jobstream_processors.engine.intake import Intake
    from jobstream_processors.engine.judge import Judge
    from jobstream_processors.engine.witness import Witness
    from jobstream_processors.execute.running import Executor
    from jobstream_processors.meter import Meter
    from jobstream_processors.ports import Clock, Record

SHOW_TICKS = 8
"""Watermarks are shown to the committing threads every so many ticks: sorting ranges costs."""


class Engine:
    """Runs the deliveries of every lane of one process."""

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
        self._clock = clock
        self._meter = meter
        self._way = way = Way(intake, judge, clock, put, loop, meter, gates)
        self.ended, self.returned, self.settled = way.ended, way.returned, way.settled
        self.flush = way.flush
        self.horizon = way.horizon
        self.waiting = judge.waiting
        self._rooms = way.rooms
        self._lookout: Lookout | None = None
        self.obeyed: Orders = NOTHING
        self._silent = False
        self._ticks = 0

    def run_on(
        self,
        executors: Mapping[str, Executor],
        witness: Witness,
        lookout: Lookout | None = None,
    ) -> None:
        """Give the engine its executors, by name, and who hears of runs that did not succeed.

        `lookout` minds offsets that were skipped; without one the watermark stays before them.
        """
        self._way.executors = Executors(executors)
        self._way.witness = witness
        self._lookout = lookout

    def accept(self, handed: Sequence[tuple[Lane, Sequence[Record]]]) -> None:
        """Take records of live lanes, in offset order per lane."""
        self._way.carry(handed)
        if self.horizon.kept:
            self._look_ahead()
        self.flush()

    def tick(self, *, silent: bool = False) -> None:
        """Housekeeping, several times a second: time limits, waits in place, held lanes.

        While it is `silent` around this process, nothing begins.
        """
        if silent is not self._silent:
            self._silent = silent
            self._way.admission.hush(silent=silent)
            self._look_all()
        now_ms = self._clock.monotonic_ms()
        self._way.executors.expire()
        for room in self._rooms.values():
            if room.later:
                for delivery in room.due(now_ms):
                    self._way.start(delivery)
            if room.held:
                self._way.execute_each(room, self._way.admission.let_go(room))
            lane = room.lane
            if lane.watermark.holes and self._lookout is not None:
                self._lookout.mind(lane)
            if not self._ticks % SHOW_TICKS:
                lane.show()
        self._look_ahead(now_ms)
        self._way.witness.tick(now_ms)
        self._ticks += 1
        if self._meter is not None:
            self._meter.fold()
        self.flush()

    def _look_all(self, *, anew: bool = False) -> None:
        for room in self._rooms.values():
            self._way.look(room, anew=anew)

    # -- lanes, and what is told of them

    def begin(self, lane: Lane) -> None:
        """A lane is restored and may run jobs."""
        self._way.look(self.waiting.room(lane))

    def obey(self, orders: Orders) -> None:
        """Operators' orders are these from now on; what is under way is held or stopped by them."""
        ids = self._way.admission.obey(orders)
        self._look_all(anew=True)
        for job_id in ids:
            if (delivery := self._way.judge.inflight.get(job_id)) is not None:
                self._way.end_instead(delivery)
        self.obeyed = orders
        self.flush()

    def drain(self, lane: Lane) -> None:
        """Start nothing more of `lane`; what runs may end and settle."""
        room = self.waiting.room(lane)
        room.draining = True
        room.clear()
        self._way.executors.withdraw(lane)
        self._forget(lane)

    def cut(self, lane: Lane) -> None:
        """Stop what runs of a draining lane: a coroutine, a child process; a thread goes on."""
        self._way.executors.interrupt(lane)

    def end(self, lane: Lane) -> None:
        """The lane's assignment is over: nothing of it is settled or finished any more."""
        self.drain(lane)
        lane.end()
        self._way.admission.forget(self._rooms.pop(lane))
        if self._lookout is not None:
            self._lookout.forget(lane)
        self._way.executors.interrupt(lane)
        self._forget(lane)

    def close(self) -> None:
        """Release the executors; every lane has ended."""
        self._way.witness.tick()
        self._way.executors.close()

    def _forget(self, lane: Lane) -> None:
        for delivery in self._way.judge.forget(lane):
            self._way.readmit(delivery)

    def widen(self, announced: Iterable[tuple[Lane, int]]) -> None:
        """These mirrors are acknowledged: what stands below begins."""
        for lane, below in announced:
            lane.announced(below)
            room = self._rooms.get(lane)
            if room is not None and room.unannounced:
                self._way.executors.begin(room.announced(lane.may_begin))

    def _look_ahead(self, now_ms: int | None = None) -> None:
        if now_ms is None:
            now_ms = self._clock.monotonic_ms()
        horizon = self.horizon
        horizon.look(self._rooms.values(), now_ms, self._way.executors.taken(horizon.slots))

    # -- what it is doing

    @property
    def idle(self) -> bool:
        """Whether nothing runs, waits for a slot or waits to be settled."""
        return not self._way.judge.inflight and self._way.executors.idle

    @property
    def stuck(self) -> int:
        """Runs past their time limit that still hold a slot."""
        return self._way.executors.stuck

    @property
    def stepping(self) -> str:
        """The job type whose handler has the event loop; "" if none. Safe from any thread."""
        delivery = self._way.executors.stepping
        spec = delivery.spec if delivery is not None else None
        return spec.name if spec is not None else ""

    def running(self) -> list[tuple[Delivery, float]]:
        """Deliveries that hold a slot, and when their handlers began. Safe from any thread."""
        return self._way.executors.running()

    def under_way(self, lanes: Collection[Lane]) -> list[Delivery]:
        """What is in flight of these lanes. Safe from any thread."""
        return [d for d in list(self._way.judge.inflight.values()) if d.lane in lanes]

    def unfinished(self, lane: Lane) -> list[Delivery]:
        """What is in flight of `lane`, and what still runs of its partition's earlier lanes."""
        earlier = [d for d, _ in self.running() if d.lane.source == lane.source]
        return self.under_way([lane]) + [d for d in earlier if d.lane is not lane]
