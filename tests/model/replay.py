"""The product's `Settler` and `Takeover`, run from one acknowledgement to the next.

They block, so a run is repeated from its beginning: calls answered before get the same answers, and
at the first call without one the run stops and tells what it waits for. Between two calls a worker
may die or freeze, and what others do may come in between. Nothing here knows an order of calls.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from tests.model.product import NOW_MS, PLAN, WINDOW_MS, carried_of, decided, delivery_of

from jobstream.testing.memory_shard import MemoryShard
from jobstream.testing.virtual_clock import VirtualClock
from jobstream_processors.assignment.handover import clean_note
from jobstream_processors.assignment.lane import Arrival
from jobstream_processors.assignment.takeover import OpenShard
from jobstream_processors.core.headers import render
from jobstream_processors.core.known import UNKNOWN, Known
from jobstream_processors.errors import PublishFailed, PublishFailure
from jobstream_processors.ports import Outgoing, Position
from jobstream_processors.row_facts import fact_of
from jobstream_schemas import Mirror, decode_mirror, decode_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.model.rules import Rules
    from tests.model.world import Headers, Ranges

    from jobstream_processors.core.headers import Carried
    from jobstream_processors.ports import Record, Told, TopicPartition

MIRRORS = "mirrors"
CLAIM = 7
"""Offset of the owner's claim; every row told of at its claim stands below."""
CLAIM_BEFORE = 3
_GROUP = "workers"
_TOPIC_ID = "id"
_REFUSED = PublishFailure("refused")


class Publish(NamedTuple):
    """A record that the run waits to be acknowledged; the answer is whether it was."""

    record: Outgoing


class Restore(NamedTuple):
    """A table to be restored; the answer is what is known of the job."""

    claim: int
    """The offset it is restored up to."""


class Find(NamedTuple):
    """The mirror to be read; the answer is its place and ranges."""


Call = Publish | Restore | Find
Answer = bool | Known | tuple[int, "Ranges"]


class Waits(BaseException):
    """The run has come to a call that nobody answered yet. Nothing of the product catches it."""

    def __init__(self, call: Call) -> None:
        self.call = call


class Answered(NamedTuple):
    """A publish whose answer is known."""

    found: Mapping[int, PublishFailure]

    def failures(self, timeout_s: float) -> Mapping[int, PublishFailure]:  # noqa: ARG002 - the port's shape
        return self.found


class Ports:
    """Every port that settling and taking over need, with the answers of an earlier part."""

    topic = MIRRORS

    def __init__(self, answers: tuple[Answer, ...], end: int = 0) -> None:
        self._answers: Iterator[Answer] = iter(answers)
        self._end = end
        self.shard = MemoryShard()

    def ask(self, call: Call) -> Answer:
        for answer in self._answers:
            return answer
        raise Waits(call)

    # -- Sink

    def publish(self, records: Sequence[Outgoing]) -> Mapping[TopicPartition, int]:
        if not records:
            return {}
        (record,) = records  # two records of one job in one publish would have no order
        if not self.ask(Publish(record)):
            raise PublishFailed({0: _REFUSED})
        return {(record.topic, record.partition): CLAIM}

    def publish_soon(self, record: Outgoing, done: Told) -> None:
        raise NotImplementedError(record)

    def send(self, records: Sequence[Outgoing]) -> Answered:
        (record,) = records
        return Answered({} if self.ask(Publish(record)) else {0: _REFUSED})

    def send_rows(self, place: TopicPartition, rows: Sequence[dict[str, bytes]]) -> Answered:
        (row,) = rows
        return self.send([Outgoing(place[0], row["key"], row["value"], place[1])])

    # -- Tables

    def open(
        self,
        partition: TopicPartition,  # noqa: ARG002 - the port's shape
        *,
        claim: int,
        topic_id: str,  # noqa: ARG002
        window_ms: int,  # noqa: ARG002
        needed: Callable[[], bool] | None = None,  # noqa: ARG002
    ) -> OpenShard:
        found = self.ask(Restore(claim))
        assert isinstance(found, Known), "a restore is answered by what is known"
        self.shard.merge([("job", found)])
        return OpenShard(self.shard, CLAIM_BEFORE, restored=1, seconds=0.0)

    def close(self, partition: TopicPartition, shard: object) -> NoReturn:
        raise NotImplementedError(partition, shard)

    # -- Mirrors and Log

    def get(self, group: str, source: TopicPartition, topic_id: str) -> Mirror | None:
        found = self.ask(Find())
        assert not isinstance(found, (bool, Known)), "a mirror is answered by place and ranges"
        place, ranges = found
        if not place and not ranges:
            return None  # nobody mirrored yet, or nothing worth telling
        return Mirror(group, source[0], topic_id, source[1], place, ranges, 0, NOW_MS)

    def last_owner(
        self,
        group: str,  # noqa: ARG002 - the port's shape
        source: TopicPartition,  # noqa: ARG002
        topic_id: str,  # noqa: ARG002
        until: int | None,  # noqa: ARG002
    ) -> None:
        return None  # nobody said how far it may have begun

    def span(self, partition: TopicPartition) -> tuple[int, int]:  # noqa: ARG002
        return 0, self._end

    def known_id(self, topic: str) -> str:
        return self.topic_id(topic)

    def since(self, partition: TopicPartition, at_ms: int) -> int:  # noqa: ARG002
        return self._end

    def topic_id(self, topic: str, *, anew: bool = False) -> str:  # noqa: ARG002
        return _TOPIC_ID

    def read(self, partition: TopicPartition, start: int, stop: int) -> Iterator[Sequence[Record]]:
        raise NotImplementedError((partition, start, stop))


class Copy(NamedTuple):
    """A copy on a rung, or, without a rung, a dead letter."""

    rung: str
    headers: Headers


class Written(NamedTuple):
    """A row of the dedup topic."""

    key: bytes
    value: bytes
    fact: Known
    end: str
    """The terminal state that the row tells; "" for none."""


class Settling(NamedTuple):
    """How far a settlement has come."""

    waits: Copy | Written | None
    """What waits for its acknowledgement; None at the end."""
    fact: Known
    """What the local shard was told so far."""
    end: str = ""
    """`settled`, `again`, or `dropped` where the settler returned the delivery nowhere."""


@cache
def settling(
    rules: Rules, found: Headers, outcome: int, answers: tuple[bool, ...] = ()
) -> Settling:
    """Settle the delivery with these headers, as far as the answers carry."""
    ports = Ports(answers)
    delivery = delivery_of(found, ports.shard)
    settler = rules.settler(ports, {PLAN.name: PLAN}, VirtualClock(NOW_MS))
    waits, end = None, ""
    try:
        settled, again = settler.settle([(delivery, decided(found, outcome))])
    except Waits as stopped:
        waits = _told(rules, carried_of(found), stopped.call)
    else:
        end = "settled" if settled else "again" if again else "dropped"
    return Settling(waits, ports.shard.get(["job"])[0] or UNKNOWN, end)


def _told(rules: Rules, carried: Carried, call: Call) -> Copy | Written:
    assert isinstance(call, Publish), "a settler publishes and nothing else"
    record = call.record
    if record.topic == PLAN.dedup:
        value = record.value or b""
        row = decode_row(value)
        return Written(rules.row_key(record.key or b""), value, fact_of(row), row.state)
    headers = tuple(record.headers or ())
    if record.topic == PLAN.dlq:
        return Copy("", headers)
    return Copy(record.topic, tuple(render(rules.retried(carried, carried_of(headers)))))


class Prepared(NamedTuple):
    """How far a take-over has come."""

    call: Call | None
    """What it waits for; None at the end."""
    mirror: tuple[int, Ranges] = (0, ())
    """The place that waits to be mirrored, or was."""
    shard: Known = UNKNOWN
    start: int = 0


@cache
def prepared(
    rules: Rules, committed: int | None, end: int, answers: tuple[Answer, ...]
) -> Prepared:
    """Take the partition over, as far as the answers carry. `end` is the end of its log."""
    ports = Ports(answers, end)
    clock = VirtualClock(NOW_MS)
    plans = {PLAN.name: PLAN}
    takeover = rules.takeover(_GROUP, plans, ports, ports, ports, ports, clock)
    note = clean_note(CLAIM_BEFORE, 0, 0)
    place = None if committed is None else Position(committed, note)
    try:
        lane = takeover.prepare(Arrival(PLAN.name, (PLAN.topic, 0), WINDOW_MS, 10, place))
    except Waits as waits:
        return Prepared(waits.call, _mirrored(waits.call))
    assert lane is not None, "nothing is deleted here"
    start = lane.watermark.position
    assert lane.shard is ports.shard, "it runs on the table that was restored"
    ranges = tuple((low, high) for low, high in lane.watermark.ranges() if high > start)
    return Prepared(None, (start, ranges), ports.shard.get(["job"])[0] or UNKNOWN, start)


@cache
def starts(rules: Rules, committed: int | None, end: int, mirror: tuple[int, Ranges]) -> Prepared:
    """Where the next owner would start, and what it would take for finished above that."""
    answers: tuple[Answer, ...] = ()
    while (call := (found := prepared(rules, committed, end, answers)).call) is not None:
        match call:
            case Publish():
                answers = (*answers, True)
            case Restore():
                answers = (*answers, UNKNOWN)
            case Find():
                answers = (*answers, mirror)
    return found


def _mirrored(call: Call) -> tuple[int, Ranges]:
    if not isinstance(call, Publish) or call.record.topic != MIRRORS:
        return 0, ()
    told = decode_mirror(call.record.value or b"")
    return told.position, told.finished
