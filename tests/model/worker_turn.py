"""What a worker does, one acknowledged step at a time: steps 4 to 13 of a job's way.

The same steps move the owner and, where a mutation lets it go on, the frozen worker after its thaw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tests.model.product import carried_of, mark_of, told_by
from tests.model.replay import (
    CLAIM,
    MIRRORS,
    Answer,
    Copy,
    Prepared,
    Publish,
    Restore,
    Written,
    prepared,
    settling,
)
from tests.model.rules import Rules
from tests.model.world import (
    ENDED,
    JUDGED,
    RUNNING,
    Event,
    Flight,
    Standing,
    Worker,
    World,
    spend,
)

from jobstream_processors.core.known import UNKNOWN, Known

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        if worker.taking_over is not None:
            yield self._takes_over(worker.taking_over)
            return
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
        if flight is None or flight.step != ENDED:
            return None
        match settling(self.rules, flight.headers, flight.outcome, flight.answers).waits:
            case Copy() as copy:
                return self._with_copy(copy)
            case Written() as row:
                return self._with_row(row)
        return None

    def refused(self) -> Iterator[Event]:
        """The publish at hand fails for the worker, whether the record was appended or not."""
        appended = self.appended()
        if appended is None:
            return
        worker = self._answered(acknowledged=False)
        budget = spend(self.world.budget, "refusals")
        # Nobody was told, so nothing counts as acknowledged.
        appended = appended._replace(acked=self.world.acked, ends=self.world.ends)
        for label, world in ("not appended", self.world), ("appended", appended):
            after = self._put(worker, world)._replace(budget=budget)
            yield f"{label}, acknowledgement lost", after

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
        carried = carried_of(headers)
        if self.rules.absorbs(worker.shard, carried.redrive, carried.seq) is not None:
            return taken._replace(open=worker.open)
        return taken._replace(flight=Flight(offset, headers))

    def _started(self, flight: Flight) -> World:
        """Step 9, where a delivery that must not start any more shows."""
        carried = carried_of(flight.headers)
        delivery = (carried.redrive, carried.seq)
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
        return self._put(self.worker._replace(flight=flight._replace(step=ENDED, outcome=outcome)))

    def _settled(self, flight: Flight) -> Event:
        """Steps 11 and 12: the publish at hand is acknowledged, or the offset is finished."""
        found = settling(self.rules, flight.headers, flight.outcome, flight.answers)
        after = self.appended()
        if after is not None:
            label = "copy" if isinstance(found.waits, Copy) else "row"
            return label, self._put(self._answered(acknowledged=True), after)
        left = self.worker.open
        if found.end == "settled":
            left -= {flight.offset}
        return found.end, self._put(self.worker._replace(open=left, flight=None))

    def _answered(self, *, acknowledged: bool) -> Worker:
        """The worker once its settler heard of the publish at hand; anew, if it gave up."""
        flight = self.worker.flight
        assert flight is not None, "only flights publish"
        answers = (*flight.answers, acknowledged)
        found = settling(self.rules, flight.headers, flight.outcome, answers)
        if found.end == "again":
            answers = ()
        shard = self.worker.shard.merge(found.fact)
        return self.worker._replace(flight=flight._replace(answers=answers), shard=shard)

    def _takes_over(self, answers: tuple[Answer, ...]) -> Event:
        """The call at hand is answered. What only reads is one step with what follows it.

        Except while a frozen worker's record may still come in between and be read.
        """
        label, world = "", self.world
        while True:
            found = self.preparing(answers)
            if found.call is None:
                ranges = found.mirror[1]
                owner = Worker(found.shard, found.start, ranges, begun=found.start)
                return f"{label}, ready", self._put(owner, world)
            if label and not self._reads_alone(found):
                return label, self._put(self.worker._replace(taking_over=answers), world)
            step, world, answer = self._called(world, answers, found)
            label = f"{label}, {step}" if label else step
            answers = (*answers, answer)

    def _reads_alone(self, found: Prepared) -> bool:
        """Whether the call at hand reads what nobody else may write now."""
        frozen = self.world.frozen
        if isinstance(found.call, Publish):
            return False
        if frozen is None:
            return True
        # By the rule one record may still come from it: one of its flight, or else a mirror.
        is_mirror = frozen.flight is None
        return self.rules.gap_stops and is_mirror is isinstance(found.call, Restore)

    def preparing(self, answers: tuple[Answer, ...]) -> Prepared:
        """How far the take-over has come with these answers."""
        return prepared(self.rules, self.world.committed, len(self.world.queue), answers)

    def _called(
        self, world: World, answers: tuple[Answer, ...], found: Prepared
    ) -> tuple[str, World, Answer]:
        """What one call of a take-over does, and what it is answered."""
        match found.call:
            case Publish(record) if record.topic == MIRRORS:
                return "mirror", world._replace(mirror=found.mirror), True
            case Publish():
                told = told_by(world.rows)
                if self.role == "owner":
                    # From its claim on, what the topic tells counts as told to the owner.
                    world = world._replace(acked=world.acked.merge(told))
                return "claim", world, told
            case Restore(claim):
                # A claim is answered by what the topic told then: all that stands below it.
                claimed = [told for told in answers if isinstance(told, Known)]
                told = claimed[0] if claimed else told_by(world.rows)
                if claimed and claim < CLAIM:
                    told = UNKNOWN
                return "restore", world, self.rules.restored(told)
            case _:
                return "find the mirror", world, world.mirror

    def _with_copy(self, copy: Copy) -> World:
        world = self.world
        if copy.rung:
            standing = Standing(copy.headers, copy.rung, 0)
            return world._replace(rungs=tuple(sorted((*world.rungs, standing))))
        redrive = carried_of(copy.headers).redrive
        letters = dict(world.letters) | {redrive: copy.headers}
        return world._replace(letters=tuple(sorted(letters.items())))

    def _with_row(self, row: Written) -> World:
        rows = tuple(sorted((dict(self.world.rows) | {row.key: row.value}).items()))
        after = self.world._replace(rows=rows)
        if self.role == "frozen":
            return after  # rows that only a frozen worker wrote do not count
        flight = self.worker.flight
        assert flight is not None, "rows are written by flights"
        end = frozenset({(carried_of(flight.headers).redrive, row.end)} if row.end else ())
        return after._replace(acked=after.acked.merge(row.fact), ends=after.ends | end)
