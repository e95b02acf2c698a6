"""Runs the jobs of a worker, on the event loop's thread.

`Way` takes a job from step to step. The engine adds what moves jobs beside that: time, operators'
orders, and lanes that come and go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.orders import NOTHING, Orders
from jobstream_processors.delivery import FINISHED
from jobstream_processors.engine.census import Census
from jobstream_processors.engine.halting import ask_again, end_instead, look, withdraw
from jobstream_processors.engine.way import Way

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.assignment.skipped import Lookout
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.witness import Witness
    from jobstream_processors.execute.running import Executes
    from jobstream_processors.ports import TopicPartition

SHOW_TICKS = 8
"""Watermarks are shown to the committing threads every so many ticks: sorting ranges costs."""


class Engine(Way):
    """Runs the deliveries of every lane of one process."""

    obeyed: Orders = NOTHING
    _lookout: Lookout | None = None
    _silent = False
    _ticks = 0

    def run_on(
        self,
        executors: Mapping[str, Executes],
        witness: Witness,
        lookout: Lookout | None = None,
    ) -> None:
        """Give the engine its executors, by name, and who hears of runs that did not succeed.

        `lookout` minds offsets that were skipped; without one the watermark stays before them.
        """
        self.executors = executors
        self.witness = witness
        self._lookout = lookout
        self.census = Census()

    def tick(self, *, silent: bool = False) -> None:
        """Housekeeping, several times a second: time limits, waits in place, held lanes.

        While it is `silent` around this process, nothing begins.
        """
        if silent is not self._silent:
            self._silent = silent
            self.admission.hush(silent=silent)
            self._look_all()
        self.ease()
        now_ms = self.clock.monotonic_ms()
        for executor in self.executors.values():
            executor.expire()
        for room in self.rooms.values():
            if room.later:
                for delivery in room.due(now_ms):
                    self.start(delivery)
            if room.held:
                self.execute(room, self.admission.let_go(room))
            lane = room.lane
            if lane.watermark.holes and self._lookout is not None:
                self._lookout.mind(lane)
            if not self._ticks % SHOW_TICKS:
                lane.show()
        if not self._ticks % SHOW_TICKS:
            self.census.take(self.waiting, self.clock)
        self.horizon.look(self.rooms.values(), self.executors)
        self.witness.tick(now_ms)
        self._ticks += 1
        if self._meter is not None:
            self._meter.fold()
        self.flush()

    def _look_all(self, *, anew: bool = False) -> None:
        for room in self.rooms.values():
            look(self, room, anew=anew)

    # -- lanes, orders, and handlers that outlive their limit

    def begin(self, lane: Lane) -> None:
        """A lane is restored and may run jobs."""
        room = self.waiting.room(lane)
        self.turns.begin(room)
        look(self, room)

    def obey(self, orders: Orders) -> None:
        """Follow these orders of operators from now on: hold, stop and end deliveries by them."""
        ids = self.admission.obey(orders)
        self._look_all(anew=True)
        if self.turns.recalls():
            ask_again(self, self.rooms.values())
        for job_id in ids:
            if (delivery := self.judge.inflight.get(job_id)) is not None:
                end_instead(self, delivery)
        self.obeyed = orders
        self.flush()

    def drain(self, lane: Lane) -> None:
        """Start nothing more of `lane`, if it has not ended; what runs may end and settle."""
        if not lane.live:
            return
        room = self.waiting.room(lane)
        room.draining = True
        self.admission.taken_back(room, (*withdraw(self.executors, lane), *room.unbegun()))
        room.clear()
        self._forget(lane)

    def cut(self, lane: Lane) -> None:
        """Stop what runs of a draining lane: a coroutine, a child process; a thread goes on."""
        for executor in self.executors.values():
            executor.interrupt(lane)

    def end(self, lane: Lane) -> None:
        """The lane's assignment is over: nothing of it is settled or finished any more."""
        if not lane.live:
            return
        self.drain(lane)
        lane.end()
        room = self.rooms.pop(lane)
        self.admission.forget(room)
        self.turns.forget(room)
        if self._lookout is not None:
            self._lookout.forget(lane)
        self.cut(lane)
        self._forget(lane)

    def returned(self, delivery: Delivery) -> None:
        """A handler that outlived its time limit has stopped: its key is free."""
        delivery.outlived = False
        delivery.error = None
        if delivery.gated:
            self.turns.returned(delivery)
            self.ease()
        if delivery.stage is FINISHED or not delivery.holds_key:
            self.free_key(delivery)
        if not delivery.lane.live:
            self.release(delivery)  # Its decision was dropped with its lane.

    def close(self) -> None:
        """Release the executors; every lane has ended."""
        self.witness.tick()
        for executor in self.executors.values():
            executor.close()

    def _forget(self, lane: Lane) -> None:
        for delivery in self.judge.forget(lane):
            self.readmit(delivery)

    def widen(self, announced: Iterable[tuple[Lane, int]]) -> None:
        """Mirrors have announced so much: begin the deliveries that waited for them."""
        for lane, below in announced:
            lane.announced(below)
            room = self.rooms.get(lane)
            if room is not None and room.unannounced:
                self.execute(room, room.announced(lane.may_begin))

    # -- for those that look

    @property
    def idle(self) -> bool:
        """Whether nothing runs, waits for a slot or waits to be settled."""
        return not (self.judge.inflight or any(e.busy for e in self.executors.values()))

    @property
    def stuck(self) -> int:
        """Runs past their time limit that still hold a slot."""
        return sum(executor.stuck for executor in self.executors.values())

    @property
    def stepping(self) -> str:
        """The job type whose handler has the event loop; "" if none. Safe from any thread."""
        stepping = [d.spec for e in self.executors.values() if (d := e.stepping) is not None]
        return next((spec.name for spec in stepping if spec is not None), "")

    def kept(self) -> dict[TopicPartition, list[str]]:
        """By which gates jobs of each partition do not begin. Safe from any thread."""
        rooms = list(self.rooms.values())
        found = {r.lane.source: {*r.shut, *[d.waits for d in list(r.aside)]} for r in rooms}
        return {at: sorted(filter(None, reasons)) for at, reasons in found.items() if any(reasons)}

    def running(self) -> list[tuple[Delivery, float]]:
        """Deliveries that hold a slot, and when their handlers began. Safe from any thread."""
        return [run for executor in self.executors.values() for run in executor.running()]

    def under_way(self, lanes: Collection[Lane]) -> list[Delivery]:
        """What is in flight of these lanes. Safe from any thread."""
        return [d for d in list(self.judge.inflight.values()) if d.lane in lanes]

    def unfinished(self, lane: Lane) -> list[Delivery]:
        """What is in flight of `lane`, and what still runs of its partition's earlier lanes."""
        earlier = [d for d, _ in self.running() if d.lane.source == lane.source]
        return self.under_way([lane]) + [d for d in earlier if d.lane is not lane]
