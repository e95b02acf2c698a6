"""Step 11: make decisions durable, in the one order that loses nothing.

Copies first, acknowledged; then the rows that absorb what the copies replace, acknowledged; then
the local shard. Only what came through all of it may finish its offset. A failed publish leaves the
delivery unsettled, to be tried again: nothing is skipped. A shard that can't be written settles
nothing less, since its topic has the rows; it is told, as nobody may start a job by it any more.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from jobstream_processors.core.decide import Bury, Finish
from jobstream_processors.errors import PublishFailed, TableUnavailable
from jobstream_processors.settlement import TOO_LARGE, Settlement, settlement
from jobstream_schemas import done_encoder, done_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.known import Known
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.errors import PublishFailure
    from jobstream_processors.lane import Lane
    from jobstream_processors.ports import Clock, Outgoing, Sink, TopicPartition
    from jobstream_processors.queues import QueuePlan

Decided = tuple["Delivery", "Decision"]


class Settler:
    """Settles batches. Blocks; used by one thread at a time."""

    def __init__(
        self,
        sink: Sink,
        plans: Mapping[str, QueuePlan],
        clock: Clock,
        unwritable: Callable[[TableUnavailable], object] | None = None,
    ) -> None:
        """`unwritable` hears of each write to a shard that failed; without it, that is raised."""
        self._sink = sink
        self._plans = plans
        self._clock = clock
        self._unwritable = unwritable

    def settle(self, batch: Sequence[Decided]) -> tuple[list[Decided], list[Decided]]:
        """(settled, to be tried again). Deliveries of ended assignments are in neither."""
        done: list[Decided] = []
        other: list[Decided] = []
        for item in batch:
            if item[0].lane.live:
                (done if type(item[1]) is Finish else other).append(item)
        settled: list[Decided] = []
        again: list[Decided] = []
        if other:
            self._settle_others(other, settled, again)
        if done:
            self._settle_done(done, settled, again)
        return settled, again

    def _settle_done(
        self, batch: list[Decided], settled: list[Decided], again: list[Decided]
    ) -> None:
        """The hot path: one row each, encoded by hand, no copy."""
        encode = done_encoder(self._clock.broker_ms())
        by_lane: dict[Lane, list[Decided]] = {}
        for item in batch:
            by_lane.setdefault(item[0].lane, []).append(item)
        rows: dict[TopicPartition, list[dict[str, bytes]]] = {}
        facts: dict[Lane, list[tuple[str, bytes, bytes]]] = {}
        for lane, items in by_lane.items():
            lane_rows = rows[self._plans[lane.queue].dedup, lane.source[1]] = []
            lane_facts = facts[lane] = []
            for delivery, _ in items:
                fingerprint, digest = delivery.identity()
                job_id, trip = delivery.id, delivery.trip
                value = encode(digest, fingerprint, job_id, trip.redrive, trip.attempt)
                lane_rows.append({"key": done_key(job_id, trip.redrive), "value": value})
                lane_facts.append((job_id, fingerprint, digest))
        failed = self._sink.publish_rows(rows)
        for lane, items in by_lane.items():
            if failed:
                kept = [
                    index
                    for index, (delivery, _) in enumerate(items)
                    if done_key(delivery.id, delivery.trip.redrive) not in failed
                ]
                again += [item for index, item in enumerate(items) if index not in set(kept)]
                items, facts[lane] = [items[i] for i in kept], [facts[lane][i] for i in kept]  # noqa: PLW2901 - only what was acknowledged goes on
            self._keep(partial(lane.shard.put_done, facts[lane]))
            settled += items

    def _settle_others(
        self, batch: list[Decided], settled: list[Decided], again: list[Decided]
    ) -> None:
        now_ms = self._clock.broker_ms()
        work: list[tuple[Decided, Settlement]] = []
        for delivery, decision in batch:
            plan = self._plans[delivery.lane.queue]
            wanted = settlement(delivery, decision, plan, now_ms)
            if wanted is not None:
                work.append(((delivery, decision), wanted))
        work = self._publish_copies(work, again)
        failed = self._publish([wanted.row for _, wanted in work])
        facts: dict[Lane, list[tuple[str, Known]]] = {}
        for index, (item, wanted) in enumerate(work):
            if index in failed:
                again.append(item)
                continue
            facts.setdefault(item[0].lane, []).append((item[0].id, wanted.fact))
            settled.append(item)
        for lane, found in facts.items():
            self._keep(partial(lane.shard.merge, found))

    def _keep(self, write: Callable[[], None]) -> None:
        try:
            write()
        except TableUnavailable as error:
            if self._unwritable is None:
                raise
            self._unwritable(error)

    def _publish_copies(
        self, work: list[tuple[Decided, Settlement]], again: list[Decided]
    ) -> list[tuple[Decided, Settlement]]:
        """Publish the copies; returns the work whose copies, if any, are acknowledged."""
        with_copy = [index for index, (_, wanted) in enumerate(work) if wanted.copy is not None]
        records = [copy for _, wanted in work if (copy := wanted.copy) is not None]
        failed = self._publish(records)
        bad = {with_copy[index]: failure for index, failure in failed.items()}
        kept = []
        for index, (item, wanted) in enumerate(work):
            failure = bad.get(index)
            if failure is None:
                kept.append((item, wanted))
            elif failure.too_large:
                again.append(self._too_large(item))
            else:
                again.append(item)
        return kept

    def _too_large(self, item: Decided) -> Decided:
        """A record that can't be copied dies, with a letter that points to where it stands."""
        delivery, decision = item
        if isinstance(decision, Bury):
            return delivery, replace(decision, pointer=True)
        return delivery, Bury(replace(delivery.trip, reason=TOO_LARGE), pointer=True)

    def _publish(self, records: list[Outgoing]) -> Mapping[int, PublishFailure]:
        if not records:
            return {}
        try:
            self._sink.publish(records)
        except PublishFailed as error:
            return error.failures
        return {}
