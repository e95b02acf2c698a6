"""Steps 4 and 13, on the thread that polls: take records for this process, and commit watermarks.

The feed owns the consumer group's side of a lane: assignment, pauses by reason, back-pressure,
hand-over. It never runs a handler and never finishes an offset. Jobs reach the engine in batches.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Protocol

from jobstream_processors.facts import facts_of
from jobstream_processors.handover import clean_note
from jobstream_processors.lane import Lane
from jobstream_processors.meter import TurnMeter
from jobstream_processors.phases import Phases
from jobstream_processors.places import in_topic
from jobstream_processors.ports import Position
from jobstream_processors.pressure import Pressure
from jobstream_processors.skipped import Verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from jobstream_processors.facts import LaneFacts
    from jobstream_processors.meter import Meter
    from jobstream_processors.ports import Clock, Listener, Record, Source, TopicPartition
    from jobstream_processors.pressure import Limits
    from jobstream_processors.pulse import Pulse
    from jobstream_processors.queues import QueuePlan

log = logging.getLogger("jobstream.worker")

BATCH_MAX = 1_000
OPERATOR, QUIET = "operator", "quiet"
UNORDERED: tuple[Collection[str], bool] = ((), False)
FULL_MS_MAX = 1_000
"""How long a full process leaves its records in the client before it pauses. A pause makes the
client throw away what it has fetched; not polling for a while costs nothing."""
RESTORED_MS_MAX = 3_000
"""How long a revocation waits for a table that is being restored."""


class Driver(Protocol):
    """How the feed reaches the engine, which lives on another thread (or not, in memory)."""

    def hand(self, batch: list[tuple[Lane, list[Record]]]) -> None:
        """Give records to the engine; returns at once."""

    def prepare(self, lane: Lane, committed: Position | None) -> None:
        """Restore the lane; `Feed.prepared` is to be called when that is done."""

    def begin(self, lane: Lane) -> None:
        """Tell the engine that the lane runs."""

    def drain(self, lanes: Sequence[Lane]) -> None:
        """Block until what runs of the lanes has settled or the drain time is over; end them."""

    def end(self, lanes: Sequence[Lane]) -> None:
        """End the lanes at once: they are lost."""

    def wait(self, timeout_s: float) -> None:
        """Block until the engine finished something, or the time is over."""


class Feed:
    """The consumer side of one worker process. Used by one thread."""

    def __init__(
        self,
        plans: Mapping[str, QueuePlan],
        driver: Driver,
        clock: Clock,
        pulse: Pulse,
        limits: Limits,
        *,
        known_id: Callable[[str], str],
        meter: Meter | None = None,
    ) -> None:
        self._source: Source
        self._plans = {plan.topic: plan for plan in plans.values()}
        self._driver = driver
        self._clock = clock
        self._pulse = pulse
        self._limits = limits
        self._known_id = known_id
        """Which incarnation of a topic there is, as told last."""
        self._meter = meter
        self._turn = meter.turn if meter is not None else TurnMeter("")
        self.lanes: dict[TopicPartition, Lane] = {}
        self.running: set[Lane] = set()
        """Lanes that are restored and served."""
        self._ready: deque[tuple[Lane, int] | BaseException] = deque()
        self.verdicts = Verdicts()
        self._paused: dict[TopicPartition, set[str]] = {}
        self._committed: dict[Lane, int] = {}
        self._next_commit_ms = 0
        self._had_room_ms = clock.monotonic_ms()
        """When there was room for a record last."""
        self._pressure = Pressure(limits)
        self._ordered: tuple[Collection[str], bool] = UNORDERED
        self._obeyed = UNORDERED

    def obey(self, queues: Collection[str], *, quiet: bool) -> None:
        """Take nothing of these queues from now on; nothing at all if `quiet`. From any thread."""
        self._ordered = (queues, True) if quiet else (queues, False) if queues else UNORDERED

    def join(self, source: Callable[[Listener], Source]) -> None:
        """Join the consumer group."""
        self._source = source(self)

    def prepared(self, lane: Lane, start: int) -> None:
        """The lane is restored and starts at `start`; may be called from any thread."""
        self._ready.append((lane, start))

    def failed(self, error: BaseException) -> None:
        """A lane can't be served; raised from the next cycle. May be called from any thread."""
        self._ready.append(error)

    def cycle(self, timeout_s: float) -> int:
        """One turn: start what is restored, poll, hand over, commit. Returns the records taken."""
        turn = self._turn
        self._pulse.check()
        self._start_ready()
        paused = {lane: self._paused[lane.source] for lane in self.running}
        self.verdicts.carry_out(self._source, paused, self.misplaced)
        if self._ordered is not UNORDERED or self._obeyed is not UNORDERED:
            self._obey()
        turn.spent("other")
        if stuffed := self._is_stuffed():
            self._driver.wait(timeout_s)
            stuffed = self._is_stuffed()
            turn.spent("wait")
        now_ms = self._clock.monotonic_ms()
        if not stuffed:
            self._had_room_ms = now_ms
        waits = stuffed and now_ms - self._had_room_ms <= FULL_MS_MAX
        taken = 0 if waits else self._poll(timeout_s)
        self._commit_due()
        turn.spent("commit")
        return taken

    def _poll(self, timeout_s: float) -> int:
        """Take what there is room for. With no room it still serves rebalances."""
        room = self._room()
        self._hold("no_room", self.running if room <= 0 else ())
        self._hold("window", [lane for lane in self.running if self._is_full(lane)])
        records = self._source.poll(min(BATCH_MAX, max(room, 1)), timeout_s)
        self._turn.polled()
        taken = self._take(records)
        self._turn.spent("hand")
        return taken

    def close(self) -> None:
        """Leave the group: drains, commits and gives every partition back.

        It drains first: a client that is closing sends no more heartbeats, so a drain inside the
        close, longer than the session, would hand jobs that still run to another worker.
        """
        with self._turn.busy("leaving"):
            self.revoked(list(self.lanes))
            self._source.close()

    # -- the listener's side, called from inside poll and close

    def assigned(self, partitions: Mapping[TopicPartition, Position | None]) -> None:
        """Make a lane for each; it starts when it is restored."""
        self._turn.changes["assigned"] += 1
        for partition, committed in partitions.items():
            lane = self._new_lane(partition)
            meter = self._meter.takeovers if self._meter is not None else None
            lane.phases = Phases(self._turn.since, lane.queue, meter)
            # What the group has, not where the lane starts: a mirror may be ahead of it.
            self._committed[lane] = committed.offset if committed is not None else -1
            log.info("partition_assigned", extra={"partition": partition})
            self._driver.prepare(lane, committed)

    def _new_lane(self, partition: TopicPartition) -> Lane:
        plan = self._plans[partition[0]]
        lane = Lane(plan.name, partition, plan.window_ms, self._limits.window)
        lane.meter = self._meter.queues[plan.name] if self._meter is not None else None
        self.lanes[partition] = lane
        self._paused[partition] = set()
        return lane

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Drain, settle, commit as handed over cleanly."""
        self._turn.changes["revoked"] += 1
        gone = self._forget(partitions)
        running = [lane for lane in gone if lane in self.running]
        waiting = [lane for lane in gone if lane not in self.running]
        with self._turn.busy("revoked"):
            restored = self._restored(waiting)
            self._driver.drain(running)
            self._driver.end(waiting)
            positions = {lane.source: _handed_over(lane) for lane in (*running, *restored)}
            if positions:
                self._source.commit(positions, wait=True)
        self.running.difference_update(gone)
        log.info("partitions_revoked", extra={"partitions": sorted(positions)})

    def _restored(self, lanes: Sequence[Lane]) -> list[Lane]:
        """Those of `lanes` that could run; waits a little for those that are nearly there.

        A claim that is not handed over cleanly makes the next owner suspect every job, though none
        has run here.
        """
        until_ms = self._clock.monotonic_ms() + RESTORED_MS_MAX
        while True:
            ready = list(self._ready)
            able = {item[0] for item in ready if isinstance(item, tuple)}
            half_way = any(lane.claim >= 0 and lane not in able for lane in lanes)
            failed = any(isinstance(item, BaseException) for item in ready)
            if not half_way or failed or self._clock.monotonic_ms() > until_ms:
                return [lane for lane in lanes if lane in able]
            self._driver.wait(0.05)

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        """Somebody else owns them already: commit nothing, stop."""
        self._turn.changes["lost"] += 1
        gone = self._forget(partitions)
        self._driver.end(gone)
        self.running.difference_update(gone)
        log.warning("partitions_lost", extra={"partitions": [lane.source for lane in gone]})

    def misplaced(self, partition: TopicPartition, reason: str) -> None:
        """Take up nothing more of it; what it has begun ends and is committed as ever."""
        lane = self.lanes.get(partition)
        if lane is not None and lane in self.running and not lane.refused:
            lane.refuse(reason)
            self._hold(lane.refusal, [each for each in self.running if each.refused])

    def _follow_topics(self) -> None:
        """Begin anew where a topic under a lane was deleted and created again."""
        for lane in [each for each in self.lanes.values() if each in self.running or each.refused]:
            plan = self._plans[lane.source[0]]
            if self._known_id(plan.topic) not in {"", lane.topic_id}:
                self._begin_anew(lane, plan.topic)
            elif lane.dedup_id and self._known_id(plan.dedup) not in {"", lane.dedup_id}:
                self._begin_anew(lane, plan.dedup)

    def _begin_anew(self, lane: Lane, topic: str) -> None:
        """End a lane and make another. Where the queue's topic was replaced, as if it were lost.

        Where only the dedup topic was, its place is a place still: it drains, and is mirrored.
        """
        extra = {"partition": lane.source, "topic": topic, "offset": lane.mirrored}
        log.error("topic_made_anew", extra=extra)
        self._forget([lane.source])
        lost = topic == lane.source[0] or lane not in self.running
        (self._driver.end if lost else self._driver.drain)([lane])
        self.running.discard(lane)
        self._source.pause([lane.source])
        heir = self._new_lane(lane.source)
        heir.after = lane.claim
        self._committed[heir] = -1
        self._driver.prepare(heir, None)

    def facts(self) -> list[LaneFacts]:
        """How each assigned partition stands. Safe from any thread; a moment may lie between."""
        return [
            facts_of(lane, self._paused.get(lane.source, ()), running=lane in self.running)
            for lane in list(self.lanes.values())
        ]

    def _forget(self, partitions: Iterable[TopicPartition]) -> list[Lane]:
        gone = [lane for p in partitions if (lane := self.lanes.pop(p, None)) is not None]
        for lane in gone:
            self._paused.pop(lane.source, None)
            self._committed.pop(lane, None)
        return gone

    def _start_ready(self) -> None:
        while self._ready:
            item = self._ready.popleft()
            if isinstance(item, BaseException):
                raise item
            lane, start = item
            if self.lanes.get(lane.source) is not lane:
                continue
            self._driver.begin(lane)
            self.running.add(lane)
            self._source.start(lane.source, start)
            told = {"partition": lane.source, "offset": start, "phases": lane.phases.served()}
            log.info("partition_served", extra=told)

    def _take(self, records: Sequence[Record]) -> int:
        if not records:
            return 0
        batches: dict[TopicPartition, list[Record]] = {}
        for record in records:
            place = (record.topic(), record.partition())
            batch = batches.get(place)  # type: ignore[arg-type] # consumed records have a place
            if batch is None:
                batches[place] = [record]  # type: ignore[index]
            else:
                batch.append(record)
        handed = []
        for partition, batch in batches.items():
            lane = self.lanes.get(partition)
            if lane is None or lane not in self.running:
                continue
            lane.handed += len(batch)
            handed.append((lane, batch))
        self._pressure.weigh(records)
        self._driver.hand(handed)
        return len(records)

    def _room(self) -> int:
        """How many more records this process may take up."""
        # What an operator's pause keeps here must not take the place of other queues' jobs.
        lanes = (lane for lane in self.running if OPERATOR not in self._paused[lane.source])
        return self._pressure.room(lanes)

    def _is_stuffed(self) -> bool:
        """Whether nothing that is served here has room for another record."""
        lanes = self.running
        return bool(lanes) and (self._room() <= 0 or all(self._is_full(lane) for lane in lanes))

    def _is_full(self, lane: Lane) -> bool:
        was_full = "window" in self._paused[lane.source]
        return self._pressure.is_full(lane, was_full=was_full, lanes=len(self.running))

    def _hold(self, reason: str, lanes: Iterable[Lane]) -> None:
        """Exactly `lanes` are paused for `reason` from now on; a lane with no reason left resumes.

        The client forgets or keeps pauses across rebalances by its own rules, so the reasons are
        ours and start empty with each assignment.
        """
        wanted = {lane.source for lane in lanes}
        pause, resume = [], []
        for lane in self.running:
            reasons = self._paused[lane.source]
            if lane.source in wanted:
                if not reasons:
                    pause.append(lane.source)
                reasons.add(reason)
            elif reason in reasons:
                reasons.discard(reason)
                if not reasons:
                    resume.append(lane.source)
        if pause:
            self._source.pause(pause)
        if resume:
            self._source.resume(resume)

    def _obey(self) -> None:
        """In the turn in which a lane starts, so that none ever starts without its pauses."""
        queues, quiet = ordered = self._ordered
        if ordered is not self._obeyed:
            self._obeyed = ordered
            log.info("pauses_changed", extra={"queues": sorted(queues), "quiet": quiet})
        self._hold(OPERATOR, [lane for lane in self.running if lane.queue in queues])
        self._hold(QUIET, self.running if quiet else ())

    def _commit_due(self) -> None:
        now_ms = self._clock.monotonic_ms()
        if now_ms < self._next_commit_ms:
            return
        self._next_commit_ms = now_ms + self._limits.commit_ms
        self._follow_topics()
        for lane in self.running:
            if lane.phases.isolating and lane.mirrored >= lane.suspect_before:
                log.info("suspects_ended", extra=lane.phases.cleared(lane.source))
        positions = {
            lane.source: in_topic(Position(lane.mirrored), lane.topic_id)
            for lane in self.running
            if lane.mirrored > self._committed[lane]
        }
        if positions:
            self._source.commit(positions, wait=False)
            for lane in self.running:
                if lane.source in positions:
                    self._committed[lane] = positions[lane.source].offset


def _handed_over(lane: Lane) -> Position:
    at = lane.watermark.position
    left = Position(at, clean_note(lane.claim, at, lane.suspect_before))
    return in_topic(left, lane.topic_id)
