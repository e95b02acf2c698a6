"""The delayer: carries waiting jobs down the delay ladder and, when due, to their queue.

A consumer group of its own over all rungs. At-least-once: a hop is acknowledged before its offset
is finished, and a hop made twice is the same delivery twice, which the dedup table drops. It keeps
no store: its place is the committed offset. It decodes no job, but for its id while any cancel is
in force: a cancelled job goes to its queue ahead of time, whose owner ends it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING

from jobstream_processors.assignment.assignment_log import by_topic
from jobstream_processors.assignment.places import Mirrors, find, in_topic
from jobstream_processors.assignment.pulse import Pulse
from jobstream_processors.assignment.skipped import ask
from jobstream_processors.core.ladder import EARLY_MS, RUNG_MS
from jobstream_processors.core.orders import NOTHING
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.delay.hop_records import bare_copy_of, copy_of, pointer_of
from jobstream_processors.delay.rung import Hop, Room, Rung, rooms
from jobstream_processors.errors import OffsetOutOfRange, PublishFailed, PublishFailure
from jobstream_processors.meter import DelayMeter, TurnMeter
from jobstream_processors.ports import (
    Clock,
    Log,
    Outgoing,
    Position,
    Sink,
)
from jobstream_processors.queue_plan import QueuePlan
from jobstream_schemas import Catalogue, DecodeError, Mirror, encode_mirror, mirror_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jobstream_processors.core.orders import Order, Orders
    from jobstream_processors.ports import (
        Listener,
        Source,
        TopicPartition,
    )

log = logging.getLogger("jobstream.delayer")

HOPS_MAX = 1_000
POLL_MS_MAX = 100
COMMIT_MS = 1_000
LOOK_MS = 1_000
"""How often the log is asked about offsets of a rung that were skipped."""
NEVER_MS = 1 << 62
CLOCK_KEY = b"clock"
"""Of a tombstone among the mirrors, published for the time that the broker stamps on it."""
FAILED_HOLD_MS = 500
"""How long a record rests after its hop was not acknowledged."""


@dataclass(frozen=True, slots=True)
class DelayerParts:
    """What a delayer is made of; the composition root fills it in."""

    group: str
    plans: Mapping[str, QueuePlan]
    sink: Sink
    reader: Log
    mirrors: Mirrors
    clock: Clock
    pulse: Pulse
    catalogue: Catalogue
    meter: DelayMeter | None = None
    ready: Callable[[], object] | None = None
    """Called whenever what was assigned is taken up."""


class Delayer:
    """One member of the delay group. Used by one thread."""

    def __init__(self, parts: DelayerParts) -> None:
        self._parts = parts
        self._clock = parts.clock
        self._source: Source
        self._rungs: dict[TopicPartition, Rung] = {}
        self._rooms: dict[Rung, Room] = {}
        self._places = {
            topic: (plan, name)
            for plan in parts.plans.values()
            for name, (topic, _) in plan.rungs.items()
        }
        self._refused: dict[TopicPartition, str] = {}
        """Partitions whose place is not in the log, and the id of the topic it is not in."""
        self._paused: set[TopicPartition] = set()
        self._committed: dict[TopicPartition, int] = {}
        self._next_commit_ms = 0
        self._cancels: Mapping[str, Order] = NOTHING.cancels
        """Cancelled jobs by id; empty nearly always, and then no job is looked into."""
        self._meter = parts.meter
        self._turn = parts.meter.turn if parts.meter is not None else TurnMeter("")

    def join(self, source: Callable[[Listener], Source]) -> None:
        """Join the delay group."""
        self._source = source(self)

    def obey(self, orders: Orders) -> None:
        """From now on `orders` hold: the next hop fetches a cancelled job. From any thread."""
        self._cancels = orders.cancels

    def cycle(self, timeout_ms: int = POLL_MS_MAX) -> int:
        """One turn: take up records, let go what is due, commit. Returns the hops made."""
        self._parts.pulse.check()
        records = self._source.poll(HOPS_MAX, self._wait_ms(timeout_ms) / 1000)
        self._turn.polled()
        for record in records:
            rung = self._rungs.get((record.topic() or "", record.partition() or 0))
            if rung is not None:
                rung.take(record)
        for rung in [rung for rung in self._rungs.values() if rung.watermark.holes]:
            self._mind_skipped(rung)
        made = self._move(self._leaving()) if self._knows_time() else 0
        self._balance()
        self._commit_due()
        if self._meter is not None:
            self._meter.fold()
        return made

    def next_ms(self) -> int | None:
        """Broker time of the next possible hop; None while nothing waits here."""
        times = [at for rung in self._rungs.values() if (at := rung.next_ms()) is not None]
        return min(times, default=None)

    def close(self) -> None:
        """Commit and leave the group."""
        with self._turn.busy("leaving"):
            self._source.close()

    def held(self) -> dict[tuple[str, str], int]:
        """Records kept in memory, by queue and rung. Safe from any thread."""
        found: dict[tuple[str, str], int] = {}
        for rung in list(self._rungs.values()):
            place = (rung.plan.name, rung.name)
            found[place] = found.get(place, 0) + len(rung)
        return found

    # -- the listener's side

    def assigned(self, partitions: Mapping[TopicPartition, Position | None]) -> None:
        """Take up each partition where the group left off, by commit or mirror."""
        self._turn.changes["assigned"] += 1
        for partition, committed in partitions.items():
            self._take_up(partition, committed)
        self._rooms = rooms([*self._rungs.values()])
        if self._parts.ready is not None:
            self._parts.ready()

    def _take_up(self, partition: TopicPartition, committed: Position | None) -> None:
        rung = Rung(*self._places[partition[0]], partition)
        parts = self._parts
        try:
            place = find(parts.reader, parts.mirrors, parts.group, partition, committed)
        except OffsetOutOfRange as error:
            # Only an operator can decide; the other rungs need not wait for that.
            self._refused[partition] = parts.reader.topic_id(partition[0])
            extra = {"partition": partition, "reason": str(error)}
            log.error("partition_refused", extra=extra)  # noqa: TRY400 - the reason says it all
            return
        finished = place.mirror.finished if place.mirror is not None else ()
        rung.topic_id, rung.watermark = place.topic_id, Watermark(place.start, finished)
        self._rungs[partition] = rung
        # What the group has, not where the rung starts: a mirror may be ahead of it.
        self._committed[partition] = committed.offset if committed is not None else -1
        self._source.start(partition, place.start)

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Commit what hopped; the rest is read again by the next owner."""
        self._turn.changes["revoked"] += 1
        partitions = list(partitions)
        gone = [rung for p in partitions if (rung := self._rungs.get(p)) is not None]
        self._commit(gone, wait=True)
        self._forget(partitions)
        self._source.release(partitions)

    def go_on(self) -> None:
        """Nothing: what is revoked is released at once."""

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        """Commit nothing."""
        self._turn.changes["lost"] += 1
        self._forget(partitions)

    def _forget(self, gone: Iterable[TopicPartition]) -> None:
        for partition in gone:
            self._rungs.pop(partition, None)
            self._refused.pop(partition, None)
            self._paused.discard(partition)
            self._committed.pop(partition, None)
        self._rooms = rooms([*self._rungs.values()])

    def misplaced(self, partition: TopicPartition, reason: str) -> None:
        """Tell it; what was taken up of it goes on."""
        log.error("partition_refused", extra={"partition": partition, "reason": reason})

    def _follow_topics(self) -> None:
        """Begin anew where the topic of a rung was deleted and created again: commit nothing."""
        known = self._parts.reader.known_id
        ids = {p: rung.topic_id for p, rung in self._rungs.items()} | self._refused
        replaced = [p for p, was in ids.items() if known(p[0]) not in {"", was}]
        if not replaced:
            return
        log.error("topic_made_anew", extra={"partitions": by_topic(replaced)})
        self._forget(replaced)
        for partition in replaced:
            self._take_up(partition, None)
        self._rooms = rooms([*self._rungs.values()])

    def _mind_skipped(self, rung: Rung) -> None:
        """Ask the log about what the client skipped; have it read again where there is a record."""
        now_ms = self._clock.monotonic_ms()
        # A full rung is paused, and its client may not read again yet: that is no second time.
        if now_ms < rung.look_after_ms or rung.taken == rung.reads_from:
            return
        rung.look_after_ms = now_ms + LOOK_MS
        holes = tuple(rung.watermark.holes)
        with self._turn.busy("look"):
            found = ask(self._parts.reader, rung.source, holes)
        if found is None:
            return
        if found.is_explained:
            rung.watermark.explain(holes)
        elif reason := rung.again.verdict(rung.source, found):
            # Nothing is lost: its place stays before the record, and the next owner begins there.
            rung.look_after_ms = NEVER_MS
            self.misplaced(rung.source, reason)
        elif found.record is not None:
            self._source.start(rung.source, found.record)
            rung.reads_from = rung.taken
            self._paused.discard(rung.source)

    # -- hops

    def _wait_ms(self, limit_ms: int) -> int:
        due = self.next_ms()
        return limit_ms if due is None else max(0, min(limit_ms, due - self._clock.broker_ms()))

    def _knows_time(self) -> bool:
        """Whether what waits here may leave by the clock; publishes what tells it the time.

        What a delayer reads was written long ago, so it says nothing of now: by an old record's
        stamp, or by a wall clock that is wrong, jobs would be late by a rung or early.
        """
        if self.next_ms() is None or not self._clock.needs_report():
            return True
        try:
            self._send([Outgoing(self._parts.mirrors.topic, CLOCK_KEY, None)])
        except PublishFailed as error:
            log.warning("time_unknown", extra={"reason": str(error)})
            return False
        return True

    def _leaving(self) -> list[tuple[Rung, Hop]]:
        """At most HOPS_MAX records that may leave now, from the rung that is due longest first."""
        now_ms = self._clock.broker_ms()
        due = [(at, rung) for rung in self._rungs.values() if (at := rung.next_ms()) is not None]
        leaving: list[tuple[Rung, Hop]] = []
        for at, rung in sorted(due, key=itemgetter(0)):
            room = HOPS_MAX - len(leaving)
            if at > now_ms or not room:
                break
            leaving += [(rung, hop) for hop in self._due(rung, now_ms, room)]
        return leaving

    def _due(self, rung: Rung, now_ms: int, limit: int) -> list[Hop]:
        """What may leave one rung, without the records that a wrong clock would let spin."""
        hops = rung.leave(now_ms, limit)
        if spinning := [hop for hop in hops if rung.is_spinning(hop)]:
            rung.put_back(spinning, now_ms + RUNG_MS[rung.name] // 2, suspected=True)
            extra = {"partition": rung.source, "jobs": len(spinning)}
            log.error("rung_clock_suspect", extra=extra)
            hops = [hop for hop in hops if not rung.is_spinning(hop)]
        return [self._recalled(hop) for hop in hops] if self._cancels else hops

    def _recalled(self, hop: Hop) -> Hop:
        """The hop; straight to the queue if its job is cancelled and would wait for long yet."""
        if hop.rung is None or (hop.carried.delay_ms or 0) < EARLY_MS:
            return hop
        try:
            job_id = self._parts.catalogue.decode(hop.waiting.record.value() or b"").id
        except DecodeError:
            return hop  # Whoever knows its schema, or buries it, sees to it when it is due.
        if job_id not in self._cancels:
            return hop
        log.info("cancelled_job_fetched", extra={"job_id": job_id})
        return replace(hop, rung=None)

    def _move(self, leaving: Sequence[tuple[Rung, Hop]]) -> int:
        """Publish hops of all rungs at once: a publish each would add up their waits."""
        if not leaving:
            return 0
        failed = self._publish(leaving)
        kept: dict[Rung, list[Hop]] = {}
        now_ms = self._clock.broker_ms()
        for index, (rung, hop) in enumerate(leaving):
            if index in failed:
                kept.setdefault(rung, []).append(hop)
                continue
            rung.watermark.finish(hop.waiting.offset)
            if self._meter is not None:
                to = "dlq" if hop.waiting.trouble else hop.rung
                # `run_at` may be any time in the past: nothing is late before it is there.
                wait = hop.waiting.wait
                late_ms = now_ms - max(wait.due_ms, wait.appended_ms)
                self._meter.hopped(rung.plan.name, rung.name, to, late_ms)
        for rung, hops in kept.items():
            rung.put_back(hops, now_ms + FAILED_HOLD_MS)
        return len(leaving) - len(failed)

    def _publish(self, leaving: Sequence[tuple[Rung, Hop]]) -> set[int]:
        """Indexes of the hops that are not acknowledged."""
        try:
            self._send([copy_of(rung, hop) for rung, hop in leaving])
        except PublishFailed as error:
            failed = set(error.failures)
            log.warning("hop_failed", extra={"jobs": len(failed), "reason": str(error)})
            large = [i for i, failure in error.failures.items() if failure.too_large]
            for smaller in (bare_copy_of, pointer_of):
                left = self._send_instead({i: smaller(*leaving[i]) for i in large})
                failed -= {i for i in large if i not in left}
                large = [i for i, failure in left.items() if failure.too_large]
            return failed
        return set()

    def _send_instead(self, records: Mapping[int, Outgoing]) -> dict[int, PublishFailure]:
        """Publish what stands for hops that were too large; why some are not acknowledged."""
        try:
            if records:
                self._send([*records.values()])
        except PublishFailed as error:
            log.warning("hop_failed", extra={"jobs": len(error.failures), "reason": str(error)})
            places = [*records]
            return {places[index]: failure for index, failure in error.failures.items()}
        return {}

    def _send(self, records: Sequence[Outgoing]) -> None:
        """Publish; brokers that are there and acknowledge nothing may hold it up for long."""
        with self._turn.busy("publish"):
            self._parts.sink.publish(records)

    # -- pauses and commits

    def _balance(self) -> None:
        """Pause what is full, resume what has room again."""
        full = [p for p, rung in self._rungs.items() if rung.is_full(self._rooms[rung])]
        if full := [p for p in full if p not in self._paused]:
            self._source.pause(full)
            self._paused.update(full)
        rungs = ((p, self._rungs[p]) for p in self._paused)
        if free := [p for p, rung in rungs if rung.has_room(self._rooms[rung])]:
            self._source.resume(free)
            self._paused.difference_update(free)

    def _commit_due(self) -> None:
        now_ms = self._clock.monotonic_ms()
        if now_ms >= self._next_commit_ms:
            self._next_commit_ms = now_ms + COMMIT_MS
            self._follow_topics()
            self._commit(list(self._rungs.values()), wait=False)

    def _commit(self, rungs: list[Rung], *, wait: bool) -> None:
        moved = [r for r in rungs if r.watermark.position > self._committed[r.source]]
        if not moved:
            return
        positions = {r.source: in_topic(Position(r.watermark.position), r.topic_id) for r in moved}
        self._source.commit(positions, wait=wait)
        self._committed.update({p: at.offset for p, at in positions.items()})
        try:
            self._send([self._mirror(rung) for rung in moved])
        except PublishFailed as error:
            log.warning("mirror_failed", extra={"reason": str(error)})

    def _mirror(self, rung: Rung) -> Outgoing:
        topic, partition = rung.source
        mirror = Mirror(
            group=self._parts.group,
            topic=topic,
            topic_id=rung.topic_id,
            partition=partition,
            position=rung.watermark.position,
            finished=tuple(rung.watermark.ranges()),
            unclean=0,
            at=self._clock.broker_ms(),
        )
        return Outgoing(self._parts.mirrors.topic, mirror_key(mirror), encode_mirror(mirror))
