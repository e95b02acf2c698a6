"""What a worker does, one acknowledged step at a time: steps 4 to 13 of a job's way.

The same steps move the owner and, where a mutation lets it go on, the frozen worker after its thaw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tests.model.product import mark_of, trip_of, wanted
from tests.model.rules import Rules
from tests.model.world import JUDGED, RUNNING, Event, Flight, Standing, Worker, World, spend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.product import Wanted

    from jobstream_processors.core.watermark import Watermark

Role = Literal["owner", "frozen"]


def mark(worker: Worker) -> Watermark:
    return mark_of(worker.start, worker.finished, worker.begun, worker.open)


@dataclass(frozen=True, slots=True)
class Turn:
    """One worker about to take its next step."""

    world: World
    rules: Rules
    role: Role
    worker: Worker

    def events(self, outcomes: tuple[int, ...]) -> Iterator[Event]:
        """Every step it may take next, the handler's outcomes being anybody's guess."""
        worker = self.worker
        flight = worker.flight
        if worker.begun < len(self.world.queue) and self._may_take(flight):
            yield "take", self._put(self._taken())
        for offset in worker.open:
            if self.world.queue[offset] is None:
                yield "neighbour ends", self._put(worker._replace(open=worker.open - {offset}))
        if flight is not None and flight.step == JUDGED:
            yield "start", self._started(flight)
        elif flight is not None and flight.step == RUNNING:
            for outcome in outcomes:
                yield f"outcome {outcome}", self._ended(flight, outcome)
        elif flight is not None:
            yield self._settled(flight)

    def appended(self) -> World | None:
        """The world after the publish at hand was appended; None if none is at hand."""
        flight = self.worker.flight
        if flight is None or flight.step < 0:
            return None
        plan = wanted(self.rules, flight.headers, flight.outcome)
        match self.rules.settlement[flight.step]:
            case "copy":
                return self._with_copy(plan)
            case "row":
                return self._with_row(plan)
        return None

    def refused(self) -> World | None:
        """The publish at hand was appended, its acknowledgement lost: it will be repeated."""
        after = self.appended()
        if after is None or after == self.world:
            return None
        # Nobody was told, so nothing counts as acknowledged.
        budget = spend(self.world.budget, "refusals")
        return after._replace(acked=self.world.acked, ends=self.world.ends, budget=budget)

    def mirrored(self) -> World:
        """The worker's watermark and the finished ranges above it in the mirror."""
        found = mark(self.worker)
        position = self.rules.committable(found, self.worker.open)
        ranges = tuple((low, high) for low, high in found.ranges() if low > position)
        return self.world._replace(mirror=(position, ranges))

    def committed(self) -> World:
        """Step 13. The mirror goes first: what is committed only may be lost with the group."""
        after = self.mirrored()
        return after._replace(committed=after.mirror[0])

    def left_behind(self) -> Iterator[World]:
        """What an owner that is stopped here may have committed: now, earlier, or nothing.

        When an owner commits matters to nobody before it is gone, so it is decided only then.
        """
        yield self.world
        now = self.committed()
        before = max(self.world.mirror[0], self.worker.start)
        for position in range(before, now.mirror[0]):
            yield now._replace(mirror=(position, ()), committed=position)
        yield now
        yield self.mirrored()

    def _put(self, worker: Worker, world: World | None = None) -> World:
        world = self.world if world is None else world
        if self.role == "owner":
            return world._replace(owner=worker)
        return world._replace(frozen=worker)

    def _may_take(self, flight: Flight | None) -> bool:
        # A delivery of an id in flight waits for that flight, so it is as good as not taken.
        return flight is None or self.world.queue[self.worker.begun] is None

    def _taken(self) -> Worker:
        """Steps 5 to 7: begin the offset, and judge the delivery by what the table knows."""
        worker, offset = self.worker, self.worker.begun
        taken = worker._replace(begun=offset + 1, open=worker.open | {offset})
        if mark(taken).unfinished == len(worker.open):
            return taken._replace(open=worker.open)  # an earlier owner finished it
        headers = self.world.queue[offset]
        if headers is None:
            return taken
        trip = trip_of(headers)
        if self.rules.absorbs(worker.shard, trip.redrive, trip.seq) is not None:
            return taken._replace(open=worker.open)
        return taken._replace(flight=Flight(offset, headers))

    def _started(self, flight: Flight) -> World:
        """Step 9, where a delivery that must not start any more shows."""
        trip = trip_of(flight.headers)
        delivery = (trip.redrive, trip.seq)
        broken = ""
        if self.world.acked.absorbs(*delivery) is not None:
            broken = f"{delivery} starts although an acknowledged row absorbs it"
        elif delivery in self.worker.started:
            broken = f"{delivery} starts twice under one owner"
        started = self.worker.started | {delivery}
        running = self.worker._replace(flight=flight._replace(step=RUNNING), started=started)
        return self._put(running)._replace(broken=broken)

    def _ended(self, flight: Flight, outcome: int) -> World:
        """Step 10: the outcome decides what is to be published."""
        return self._put(self.worker._replace(flight=self._at_step(flight, outcome, 0)))

    def _at_step(self, flight: Flight, outcome: int, step: int) -> Flight | None:
        """The flight at that step, or at the next one if there is nothing to copy there."""
        order = self.rules.settlement
        plan = wanted(self.rules, flight.headers, outcome)
        if step < len(order) and order[step] == "copy" and not plan.copy:
            step += 1
        return flight._replace(step=step, outcome=outcome) if step < len(order) else None

    def _settled(self, flight: Flight) -> Event:
        """Steps 11 and 12: the publish at hand is acknowledged, or the offset is finished."""
        step = self.rules.settlement[flight.step]
        after = self.appended() or self.world
        worker = self.worker
        if step == "finish":
            plan = wanted(self.rules, flight.headers, flight.outcome)
            left = worker.open - {flight.offset}
            worker = worker._replace(open=left, shard=worker.shard.merge(plan.fact))
        following = self._at_step(flight, flight.outcome, flight.step + 1)
        return step, self._put(worker._replace(flight=following), after)

    def _with_copy(self, plan: Wanted) -> World:
        world = self.world
        if plan.rung:
            standing = Standing(plan.copy, plan.rung, 0)
            return world._replace(rungs=tuple(sorted((*world.rungs, standing))))
        redrive = trip_of(plan.copy).redrive
        letters = dict(world.letters) | {redrive: plan.copy}
        return world._replace(letters=tuple(sorted(letters.items())))

    def _with_row(self, plan: Wanted) -> World:
        rows = tuple(sorted((dict(self.world.rows) | {plan.key: plan.row}).items()))
        after = self.world._replace(rows=rows)
        if self.role == "frozen":
            return after  # rows that only a frozen worker wrote do not count
        flight = self.worker.flight
        assert flight is not None, "rows are written by flights"
        end = frozenset({(trip_of(flight.headers).redrive, plan.end)} if plan.end else ())
        return after._replace(acked=after.acked.merge(plan.fact), ends=after.ends | end)
