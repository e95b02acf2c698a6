"""One member of a consumer group, on one thread: what every role that reads topics of its own does.

It takes partitions up where the group left off, by commit or mirror, reads them while they have
room, and commits behind what is finished. What the records mean, and what becomes of them, is the
role's business: the delayer stands on it. At-least-once, and without a store.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from jobstream_processors.assignment.assignment_log import by_topic
from jobstream_processors.assignment.places import find
from jobstream_processors.assignment.pulse import Pulse
from jobstream_processors.assignment.skipped import RepeatedSkips, ask
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.errors import OffsetOutOfRange, PublishFailed
from jobstream_processors.ports import Clock, Log, Mirrors, Outgoing, Position, Sink
from jobstream_processors.topic_marks import in_topic
from jobstream_schemas import Mirror, encode_mirror, mirror_key

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from jobstream_processors.ports import Listener, Record, Source, TopicPartition
    from jobstream_processors.turn_meter import TurnMeter

COMMIT_MS = 1_000
LOOK_MS = 1_000
"""How often the log is asked about offsets that were skipped."""
NEVER_MS = 1 << 62


class HeldPartition(ABC):
    """One partition during one assignment; the role adds what it keeps of its records."""

    def __init__(self, source: TopicPartition) -> None:
        self.source = source
        self.topic_id = ""
        self.watermark: Watermark
        self.committed = -1
        """What the group has, not where reading began: a mirror may be ahead of it."""
        self.paused = False
        self.taken = 0
        """Records that came, also those that came again."""
        self.skips = RepeatedSkips()
        self.look_after_ms = 0
        """Monotonic: the log is not asked before about offsets that were skipped."""
        self.reads_from = -1
        """How many records had come when the client was made to read again."""

    def take(self, record: Record) -> None:
        """Take up a record, also beyond the room: what was fetched is not fetched again."""
        offset = record.offset()
        assert offset is not None, "consumed records have an offset"  # noqa: S101
        self.taken += 1
        if self.watermark.begin(offset):
            self.keep(record, offset)

    @abstractmethod
    def keep(self, record: Record, offset: int) -> None:
        """Keep a record that came for the first time, until its offset is finished."""

    @abstractmethod
    def is_full(self) -> bool:
        """Whether no more records are to be fetched now."""

    @abstractmethod
    def has_room(self) -> bool:
        """Whether a partition that was full is fetched again: not for each record that leaves."""


Part = TypeVar("Part", bound=HeldPartition)


@dataclass(frozen=True, slots=True)
class MemberParts:
    """What a member of a group is made of."""

    group: str
    sink: Sink
    reader: Log
    mirrors: Mirrors
    clock: Clock
    pulse: Pulse


class GroupMember(Generic[Part]):
    """One member of a group, with the state of each partition it holds. Used by one thread."""

    def __init__(
        self,
        parts: MemberParts,
        turn: TurnMeter,
        log: logging.Logger,
        *,
        made: Callable[[TopicPartition], Part],
        changed: Callable[[Collection[Part]], object],
        ready: Callable[[], object] | None = None,
    ) -> None:
        """`made` begins a partition; `changed` hears of all that are held after each change.

        `ready` is called whenever what was assigned is taken up.
        """
        self._parts = parts
        self._turn = turn
        self._log = log
        self._made = made
        self._changed = changed
        self._ready = ready
        self._source: Source
        self.held: dict[TopicPartition, Part] = {}
        self._refused: dict[TopicPartition, str] = {}
        """Partitions whose place is not in the log, and the id of the topic it is not in."""
        self._next_commit_ms = 0

    def join(self, source: Callable[[Listener], Source]) -> None:
        """Join the group."""
        self._source = source(self)

    def poll(self, limit: int, timeout_ms: int) -> None:
        """Take up records, and see to offsets that the client skipped."""
        parts = self._parts
        parts.pulse.check()
        records = self._source.poll(limit, timeout_ms / 1000)
        self._turn.polled()
        for record in records:
            part = self.held.get((record.topic() or "", record.partition() or 0))
            if part is not None:
                part.take(record)
        for part in [part for part in self.held.values() if part.watermark.holes]:
            self._mind_skipped(part)

    def publish(self, records: Sequence[Outgoing]) -> None:
        """Publish; brokers that are there and acknowledge nothing may hold it up for long."""
        with self._turn.busy("publish"):
            self._parts.sink.publish(records)

    def follow_up(self) -> None:
        """End a turn: pause what is full, resume what has room again, commit what is finished."""
        self._balance()
        now_ms = self._parts.clock.monotonic_ms()
        if now_ms >= self._next_commit_ms:
            self._next_commit_ms = now_ms + COMMIT_MS
            self._follow_topics()
            self._commit(self.held.values(), wait=False)

    def close(self) -> None:
        """Commit and leave the group."""
        with self._turn.busy("leaving"):
            self._source.close()

    # -- the listener's side

    def assigned(self, partitions: Mapping[TopicPartition, Position | None]) -> None:
        """Take up each partition where the group left off, by commit or mirror."""
        self._turn.changes["assigned"] += 1
        for partition, committed in partitions.items():
            self._take_up(partition, committed)
        self._changed(self.held.values())
        if self._ready is not None:
            self._ready()

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Commit what is finished; the rest is read again by the next owner."""
        self._turn.changes["revoked"] += 1
        partitions = list(partitions)
        self._commit([self.held[p] for p in partitions if p in self.held], wait=True)
        self._forget(partitions)
        self._source.release(partitions)

    def go_on(self) -> None:
        """Nothing: what is revoked is released at once."""

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        """Commit nothing."""
        self._turn.changes["lost"] += 1
        self._forget(partitions)

    def misplaced(self, partition: TopicPartition, reason: str) -> None:
        """Log it; what was taken up of the partition goes on."""
        self._log.error("partition_refused", extra={"partition": partition, "reason": reason})

    def _take_up(self, partition: TopicPartition, committed: Position | None) -> None:
        parts = self._parts
        try:
            place = find(parts.reader, parts.mirrors, parts.group, partition, committed)
        except OffsetOutOfRange as error:
            # Only an operator can decide; the other partitions need not wait for that.
            self._refused[partition] = parts.reader.topic_id(partition[0])
            self.misplaced(partition, str(error))
            return
        part = self.held[partition] = self._made(partition)
        finished = place.mirror.finished if place.mirror is not None else ()
        part.topic_id, part.watermark = place.topic_id, Watermark(place.start, finished)
        part.committed = committed.offset if committed is not None else -1
        self._source.start(partition, place.start)

    def _forget(self, gone: Iterable[TopicPartition]) -> None:
        for partition in gone:
            self.held.pop(partition, None)
            self._refused.pop(partition, None)
        self._changed(self.held.values())

    def _follow_topics(self) -> None:
        """Begin anew where a topic was deleted and created again: commit nothing."""
        known = self._parts.reader.known_id
        ids = {p: part.topic_id for p, part in self.held.items()} | self._refused
        replaced = [p for p, was in ids.items() if known(p[0]) not in {"", was}]
        if not replaced:
            return
        self._log.error("topic_made_anew", extra={"partitions": by_topic(replaced)})
        self._forget(replaced)
        for partition in replaced:
            self._take_up(partition, None)
        self._changed(self.held.values())

    def _mind_skipped(self, part: Part) -> None:
        """Ask the log about what the client skipped; have it read again where there is a record."""
        now_ms = self._parts.clock.monotonic_ms()
        # A full one is paused, and its client may not read again yet: that is no second time.
        if now_ms < part.look_after_ms or part.taken == part.reads_from:
            return
        part.look_after_ms = now_ms + LOOK_MS
        holes = tuple(part.watermark.holes)
        with self._turn.busy("look"):
            found = ask(self._parts.reader, part.source, holes)
        if found is None:
            return
        if found.is_explained:
            part.watermark.explain(holes)
        elif reason := part.skips.verdict(part.source, found):
            # Nothing is lost: its place stays before the record, and the next owner begins there.
            part.look_after_ms = NEVER_MS
            self.misplaced(part.source, reason)
        elif found.record is not None:
            self._source.start(part.source, found.record)
            part.reads_from, part.paused = part.taken, False

    # -- pauses and commits

    def _balance(self) -> None:
        full = [part for part in self.held.values() if not part.paused and part.is_full()]
        free = [part for part in self.held.values() if part.paused and part.has_room()]
        if full:
            self._source.pause([part.source for part in full])
        if free:
            self._source.resume([part.source for part in free])
        for part in (*full, *free):
            part.paused = not part.paused

    def _commit(self, parts: Collection[Part], *, wait: bool) -> None:
        moved = [part for part in parts if part.watermark.position > part.committed]
        if not moved:
            return
        marks = {part.source: Position(part.watermark.position) for part in moved}
        positions = {part.source: in_topic(marks[part.source], part.topic_id) for part in moved}
        try:
            self.publish([self._mirror(part) for part in moved])
        except PublishFailed as error:
            self._log.warning("mirror_failed", extra={"reason": str(error)})
            if not wait:
                # Soon again: retention may take what is committed, and a group may lose its
                # offsets. With no mirror nobody would know where to begin.
                return
        self._source.commit(positions, wait=wait)
        for part in moved:
            part.committed = positions[part.source].offset

    def _mirror(self, part: Part) -> Outgoing:
        topic, partition = part.source
        mirror = Mirror(
            group=self._parts.group,
            topic=topic,
            topic_id=part.topic_id,
            partition=partition,
            position=part.watermark.position,
            finished=tuple(part.watermark.ranges()),
            unclean=0,
            at=self._parts.clock.broker_ms(),
        )
        return Outgoing(self._parts.mirrors.topic, mirror_key(mirror), encode_mirror(mirror))
