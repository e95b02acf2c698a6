"""Step 7 for what is unusual: judge a delivery by what the dedup table knows, and what runs here.

The judge returns a delivery with the decision that ends it without a run, or with None: then it is
to be admitted. If the table absorbs a delivery, the judge finishes its offset at once and returns
None. Plain deliveries are judged in `engine/intake.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jobstream_processors.core.decide import (
    CRASHES_MAX,
    EXPIRED,
    FINISH,
    Case,
    dead_letter,
    not_due,
    unknown_schema,
    unknown_type,
)
from jobstream_processors.core.headers import FIRST
from jobstream_processors.core.outcome import UNDECODABLE
from jobstream_processors.core.policy import Policy
from jobstream_processors.core.retry import Backoff
from jobstream_processors.delivery import BEHIND, DECIDED, FINISHED, LEFT, TAKEN, Delivery
from jobstream_processors.engine.namesakes import Namesakes
from jobstream_processors.engine.unfinished import limit_ms
from jobstream_processors.engine.waiting import WaitingRooms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.known import Known
    from jobstream_processors.job_types import JobSpec
    from jobstream_processors.ports import Clock
    from jobstream_schemas import Catalogue

Taken = tuple[Delivery, "Decision | None"]
NO_POLICY = Policy(Backoff(attempts=1))
UNREADABLE = frozenset({UNDECODABLE, "bad_headers"})
"""Troubles that lie in the record itself; a later deploy may solve the others."""


class Judge:
    """Knows the deliveries in flight, of every lane. Used on the event loop's thread only."""

    def __init__(self, specs: Mapping[str, JobSpec], catalogue: Catalogue, clock: Clock) -> None:
        self.specs = specs
        self._namesakes = Namesakes(specs, catalogue)
        self._clock = clock
        self.inflight: dict[str, Delivery] = {}
        """Every delivery judged and not settled yet, by id."""
        self.waiting = WaitingRooms()
        """Where deliveries wait, and why."""

    def waiters(self, ended: Delivery) -> Iterator[Taken]:
        """Judge anew the deliveries that waited for this id, up to the first that is to run."""
        of_id = self.waiting.of_id
        waiting = of_id.pop(ended.id, None)
        for index, delivery in enumerate(waiting or ()):
            if not delivery.lane.live:
                continue
            if delivery.id in self.inflight:
                of_id[delivery.id] = (waiting or [])[index:]
                return
            delivery.waits = None
            (found,) = delivery.lane.shard.get([delivery.id])
            judged = self._judge(delivery, found)
            if judged is not None:
                yield judged

    def again(self, delivery: Delivery) -> Taken | None:
        """Judge the delivery that waited for a run, now that this is over; None if absorbed."""
        delivery.stage = TAKEN
        self.release(delivery)
        (found,) = delivery.lane.shard.get([delivery.id])
        return self._judge(delivery, found, is_over=True)

    def release(self, delivery: Delivery) -> None:
        """The delivery is no longer in flight here."""
        if self.inflight.get(delivery.id) is delivery:
            del self.inflight[delivery.id]

    def forget(self, lane: Lane) -> list[Delivery]:
        """Leave the deliveries of a lane that ends, but for those that run or are being settled.

        Returns those for whose id a delivery of another lane waits.
        """
        self.waiting.forget_ids(lane)
        awaited = []
        for job_id, delivery in list(self.inflight.items()):
            # A run that has not ended stays: a new delivery of its id waits for it. A decision that
            # is being settled stays, too; if its lane has ended, it never comes back.
            under_way = delivery.running or (delivery.stage is DECIDED and lane.live)
            if delivery.lane is not lane or under_way:
                continue
            delivery.stage = LEFT
            behind = delivery.awaits
            if behind is not None and behind.running and not behind.outlived:
                self.inflight[job_id] = behind  # What comes next waits for it as this one did.
                continue
            del self.inflight[job_id]
            if job_id in self.waiting.of_id:
                awaited.append(delivery)
        return awaited

    def case(self, delivery: Delivery) -> Case:
        """What a decision about `delivery` may look at."""
        return Case(
            job_id=delivery.id,
            carried=delivery.carried,
            policy=delivery.spec.policy if delivery.spec is not None else NO_POLICY,
            now_ms=self._clock.broker_ms(),
            window_ms=delivery.lane.window_ms,
            crashes=delivery.crashes,
            unstarted=delivery.unstarted,
            enqueued_ms=delivery.enqueued_ms(self._clock),
        )

    def judge(
        self, delivery: Delivery, found: Known | None, other: Delivery | None
    ) -> Taken | None:
        """What is to become of a delivery; None if it waits for `other` of its id, or is absorbed.

        If the lane of `other` has ended, its run may go on all the same.
        """
        if other is not None and (other.lane.live or other.outlived):
            self.waiting.wait_for_id(delivery)
            return None
        return self._judge(delivery, found, other)

    def _judge(
        self,
        delivery: Delivery,
        found: Known | None,
        behind: Delivery | None = None,
        *,
        is_over: bool = False,
    ) -> Taken | None:
        """What is to become of `delivery`; `behind` is a run of it in a lane that has ended.

        With `is_over` it need not wait for any run of it.
        """
        if found is not None:
            found = self._namesakes.distinct(delivery, found)
            if found is not None and self._absorbed(delivery, found):
                return None
        self.inflight[delivery.id] = delivery
        lane = delivery.lane
        is_left = delivery.offset < lane.left.before
        if (is_left or behind is not None) and not is_over and self._awaits(delivery, behind):
            return delivery, None
        if delivery.trouble is not None:
            if lane.meter is not None and delivery.trouble[0] in UNREADABLE:
                lane.meter.unknown.failures[UNDECODABLE] += 1
            return delivery, self._trouble(delivery, *delivery.trouble)
        reader = delivery.reader
        assert reader is not None, "decoded, since there is no trouble"  # noqa: S101
        spec = self.specs.get(reader.job_type)
        if spec is not None:
            delivery.meant_for(spec, lane.meter)
        elif lane.meter is not None:
            delivery.meter = lane.meter.of(reader.job_type)
        # A first delivery of which nothing is known runs.
        is_first = found is None and delivery.carried is FIRST and not (is_left or is_over)
        if not is_first and (decision := self._barred_by(delivery, found)) is not None:
            return delivery, decision
        if spec is None:
            return delivery, unknown_type(self.case(delivery), reader.job_type)
        if spec.importable and delivery.offset < lane.suspect_before:
            if not is_over:
                lane.count_suspect(delivery.offset)
            _isolate(delivery)
        return delivery, None

    def _barred_by(self, delivery: Delivery, found: Known | None) -> Decision | None:
        """The decision that keeps it from a run; None if it may run."""
        if delivery.lane.left.has_ended(delivery.offset):
            return FINISH  # The last owner could not write its row.
        expires_ms = delivery.expires_ms
        if expires_ms is not None and expires_ms <= self._clock.broker_ms():
            return EXPIRED
        if (
            delivery.carried.due_ms is not None
            and delivery.unique is None  # It asks for its key first, then it waits for its time.
            and (early := not_due(self.case(delivery))) is not None
        ):
            return early
        return self._resume(delivery, found) if found is not None else None

    def _awaits(self, delivery: Delivery, behind: Delivery | None) -> bool:
        """Whether it waits in place for a run: `behind`, or one that the last owner's note names.

        The end of that run will not be settled in its lane. The delivery keeps its order key even
        if it will not run itself: else the next job of the key would start beside that run.
        """
        left, offset = delivery.lane.left, delivery.offset
        if left.has_ended(offset):
            return False
        wait_ms = left.runs_until_ms(offset) - self._clock.broker_ms()
        if behind is not None:
            wait_ms = max(wait_ms, limit_ms(behind, self._clock.awake_s()))
        if wait_ms <= 0:
            return False
        delivery.awaits, delivery.stage = behind, BEHIND
        delivery.due_ms = self._clock.monotonic_ms() + wait_ms
        if delivery.meta is not None:
            delivery.key = delivery.meta.order_key
            delivery.gated = delivery.unique is not None
        return True

    def heir_of(self, ended: Delivery) -> Delivery | None:
        """The delivery of another lane that waited in place for this run, and may go on now."""
        heir = self.inflight.get(ended.id)
        if heir is None or heir.awaits is not ended:
            return None
        heir.awaits = heir.due_ms = None
        return heir

    def _absorbed(self, delivery: Delivery, found: Known) -> bool:
        """Whether a row drops this delivery; if so its offset is finished, no row is needed."""
        state = found.absorbs(delivery.carried.redrive, delivery.carried.seq)
        if state is None:
            return False
        lane = delivery.lane
        delivery.stage = FINISHED
        lane.finish(delivery.offset)
        if lane.meter is not None:
            lane.meter.absorbed += 1
        return True

    def _resume(self, delivery: Delivery, found: Known) -> Decision | None:
        """Take up where an earlier owner left a job that was retried in place or crashed."""
        delivery.crashes = found.crashes_of(delivery.carried.redrive)
        if delivery.crashes >= CRASHES_MAX:
            return dead_letter(
                self.case(delivery), "crashed_worker", "jobstream.Crashed", "its process died"
            )
        delivery.in_child = delivery.crashes > 0
        parked = found.parked_at(delivery.carried.redrive, delivery.carried.seq)
        if parked is not None:
            delivery.carried = replace(
                delivery.carried,
                attempt=parked.attempt,
                snoozes=parked.snoozes,
                first_failed_ms=parked.first_failed_ms or None,
                unknown_since_ms=None,  # It had a handler.
            )
            wait_ms = parked.due_ms - self._clock.broker_ms()
            if wait_ms > 0:
                due_ms = self._clock.monotonic_ms() + wait_ms
                delivery.due_ms = max(delivery.due_ms or 0, due_ms)
        return None

    def _trouble(self, delivery: Delivery, reason: str, message: str) -> Decision:
        if reason == "unknown_schema":
            return unknown_schema(self.case(delivery), message)
        return dead_letter(self.case(delivery), reason, "", message)


def _isolate(delivery: Delivery) -> None:
    """It may have killed the last owner: it runs in a child, and not before its lane's pause."""
    delivery.in_child = True
    delivery.due_ms = max(delivery.due_ms or 0, delivery.lane.suspect_from_ms) or None
