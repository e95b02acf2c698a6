"""Each rule of settlement taken out by itself, with the scenario that needs it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.model.product import NOW_MS, PLAN
from tests.model.replay import CLAIM, MIRRORS
from tests.model.rules import RULES, Rules
from tests.model.scenarios import (
    ANY_ONE,
    CRASHES,
    FORGETTING,
    FREEZE,
    NEIGHBOUR,
    REPEATS,
    Scenario,
)

from jobstream_processors.assignment.takeover import Takeover
from jobstream_processors.core.headers import Carried
from jobstream_processors.core.known import UNKNOWN, Known
from jobstream_processors.settle.records import settlement_of
from jobstream_processors.settle.settler import Settler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobstream_processors.assignment.lane import Arrival, Lane
    from jobstream_processors.assignment.takeover import OpenShard, Tables
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.watermark import Watermark
    from jobstream_processors.delivery import Decided, Delivery
    from jobstream_processors.ports import Outgoing, Sink, TopicPartition
    from jobstream_processors.settle.records import Settlement

LOST = "the job is lost"
AGAIN = "starts although"


@dataclass(frozen=True, slots=True)
class Mutation:
    """A set of rules with one taken out, and the property that must break."""

    rules: Rules
    scenario: Scenario
    breaks: str


def begun(mark: Watermark, unfinished: frozenset[int]) -> int:  # noqa: ARG001 - shape of the rule
    return mark.begun


def last_finished(mark: Watermark, unfinished: frozenset[int]) -> int:  # noqa: ARG001 - shape of the rule
    ranges = mark.ranges()
    return ranges[-1][1] if ranges else mark.position


def moved_forgotten(found: Known, redrive: int, seq: int) -> str | None:
    return found._replace(moved=UNKNOWN.moved).absorbs(redrive, seq)


def ends_forgotten(found: Known, redrive: int, seq: int) -> str | None:
    return found._replace(ended=UNKNOWN.ended).absorbs(redrive, seq)


def done_until_redriven(found: Known, redrive: int, seq: int) -> str | None:
    return found._replace(done=found.done and redrive == 0).absorbs(redrive, seq)


def same_seq(before: Carried, after: Carried) -> Carried:
    return replace(after, seq=before.seq)


def same_redrive(letter: Carried) -> Carried:
    return Carried(redrive=letter.redrive)


def done_or_redriven(found: Known, redrive: int) -> bool:
    return found.done or found.ended[0] > redrive or found.moved[0] > redrive


class RowFirst(Settler):
    """Publishes the row before the copy."""

    def settle(self, batch: Sequence[Decided]) -> tuple[list[Decided], list[Decided]]:
        for delivery, decision in batch:
            self._sink.publish([wanted(delivery, decision).row])
        return super().settle(batch)


class RowLeftOut(Settler):
    """Has the offset finished before there is a row."""

    def settle(self, batch: Sequence[Decided]) -> tuple[list[Decided], list[Decided]]:
        for delivery, decision in batch:
            copy = wanted(delivery, decision).copy
            self._sink.publish([copy] if copy is not None else [])
        return list(batch), []


def wanted(delivery: Delivery, decision: Decision) -> Settlement:
    found = settlement_of(delivery, decision, PLAN, NOW_MS)
    assert found is not None, "every outcome tried here is settled by a row"
    return found


class FailureIgnored(Settler):
    """Has the offset finished whether the records were acknowledged or not."""

    def settle(self, batch: Sequence[Decided]) -> tuple[list[Decided], list[Decided]]:
        settled, again = super().settle(batch)
        return settled + again, []


class TableFirst(Settler):
    """Lets the local shard know before the row is acknowledged."""

    def settle(self, batch: Sequence[Decided]) -> tuple[list[Decided], list[Decided]]:
        for delivery, _ in batch:
            delivery.lane.shard.put_done([(delivery.id, *delivery.identity())])
        return super().settle(batch)


class RestoreFirst(Takeover):
    """Restores the table before it publishes the claim."""

    def prepare(self, arrival: Arrival) -> Lane | None:
        late = ClaimLate(self._sink, self._tables)
        self._sink, self._tables = late, late
        return super().prepare(arrival)


class ClaimLate:
    """Keeps the first record, the claim, until the table was opened."""

    def __init__(self, sink: Sink, tables: Tables) -> None:
        self._sink = sink
        self._tables = tables
        self._claim: Sequence[Outgoing] = ()
        self.send, self.send_rows, self.publish_soon = sink.send, sink.send_rows, sink.publish_soon
        self.close = tables.close

    def publish(self, records: Sequence[Outgoing]) -> Mapping[TopicPartition, int]:
        if self._claim:
            return self._sink.publish(records)
        self._claim = records
        return {(record.topic, record.partition): CLAIM for record in records}

    def open(
        self,
        partition: TopicPartition,
        *,
        claim: int,
        topic_id: str,
        window_ms: int,
        needed: Callable[[], bool] | None = None,
    ) -> OpenShard:
        opened = self._tables.open(
            partition, claim=claim, topic_id=topic_id, window_ms=window_ms, needed=needed
        )
        self._sink.publish(self._claim)
        return opened


class Unmirrored(Takeover):
    """Looks for the mirror where there is none, so that only what the group committed counts."""

    def prepare(self, arrival: Arrival) -> Lane | None:
        self._mirrors = NoMirrors()
        return super().prepare(arrival)


class NoMirrors:
    topic = MIRRORS

    def get(self, group: str, source: TopicPartition, topic_id: str) -> None:
        """Nobody mirrored anything."""

    def last_owner(
        self, group: str, source: TopicPartition, topic_id: str, until: int | None
    ) -> None:
        """Nobody announced anything."""


MUTATIONS = {
    "copy before row": Mutation(replace(RULES, settler=RowFirst), CRASHES, LOST),
    "row before finish": Mutation(replace(RULES, settler=RowLeftOut), CRASHES, LOST),
    "acknowledged before finish": Mutation(replace(RULES, settler=FailureIgnored), REPEATS, LOST),
    "row before the local shard": Mutation(
        replace(RULES, settler=TableFirst), ANY_ONE, "tells what no acknowledged row does"
    ),
    "finish before commit": Mutation(replace(RULES, committable=begun), CRASHES, LOST),
    "commit only what is contiguous": Mutation(
        replace(RULES, committable=last_finished), NEIGHBOUR, LOST
    ),
    "moved absorbs what its copy replaced": Mutation(
        replace(RULES, absorbs=moved_forgotten), CRASHES, AGAIN
    ),
    "another end absorbs its redrive": Mutation(
        replace(RULES, absorbs=ends_forgotten), CRASHES, AGAIN
    ),
    "done absorbs all": Mutation(replace(RULES, absorbs=done_until_redriven), CRASHES, AGAIN),
    "state, redrive and seq in the row's key": Mutation(
        replace(RULES, row_key=lambda _: b"job"), FREEZE, AGAIN
    ),
    "a redrive raises the redrive number": Mutation(
        replace(RULES, redriven=same_redrive), ANY_ONE, "copies of (0, 0)"
    ),
    "a retry raises seq": Mutation(replace(RULES, retried=same_seq), ANY_ONE, LOST),
    "claim before restore": Mutation(replace(RULES, takeover=RestoreFirst), FREEZE, AGAIN),
    "restore before the first run": Mutation(
        replace(RULES, restored=lambda _: UNKNOWN), CRASHES, AGAIN
    ),
    "start at the highest watermark anyone recorded": Mutation(
        replace(RULES, takeover=Unmirrored), FORGETTING, AGAIN
    ),
    "a clock gap stops the process": Mutation(replace(RULES, gap_stops=False), FREEZE, AGAIN),
    "the owner closes stale letters": Mutation(
        replace(RULES, is_stale=lambda *_: False), CRASHES, "is open although its job went on"
    ),
    "a letter of a cancelled job is stale": Mutation(
        replace(RULES, is_stale=done_or_redriven), ANY_ONE, "is open although its job went on"
    ),
    "the delayer copies before it commits": Mutation(
        replace(RULES, hop_copy_first=False), REPEATS, LOST
    ),
    "the redriver copies before its tombstone": Mutation(
        replace(RULES, redrive_copy_first=False), CRASHES, LOST
    ),
}
