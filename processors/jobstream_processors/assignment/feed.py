"""Steps 4 and 13, on the thread that polls: take records for this process, and commit watermarks.

The feed owns the consumer group's side of a lane: assignment, pauses by reason, back-pressure,
hand-over. It never runs a handler and never finishes an offset. Jobs reach the engine in batches.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from jobstream_processors.assignment.assignment_log import Serving
from jobstream_processors.assignment.departures import (
    Departures,
    Within,
    handed_over,
    leaving,
    moving,
)
from jobstream_processors.assignment.lane import NOT_IN_LOG, Lane
from jobstream_processors.assignment.phases import Phases
from jobstream_processors.assignment.places import in_topic
from jobstream_processors.assignment.pressure import Pressure
from jobstream_processors.assignment.skipped import Verdicts
from jobstream_processors.meter import TurnMeter
from jobstream_processors.ports import Position
from jobstream_processors.watch.standing import facts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from jobstream_processors.assignment.departures import Departure
    from jobstream_processors.assignment.driver import Driver
    from jobstream_processors.assignment.pressure import Limits
    from jobstream_processors.assignment.pulse import Pulse
    from jobstream_processors.meter import Meter
    from jobstream_processors.ports import Clock, Listener, Record, Source, TopicPartition
    from jobstream_processors.queue_plan import QueuePlan
    from jobstream_processors.watch.standing import LaneFacts

log = logging.getLogger("jobstream.worker")

BATCH_MAX = 1_000
OPERATOR, QUIET, LEAVING = "operator", "quiet", "leaving"
UNORDERED: tuple[Collection[str], bool] = ((), False)
FULL_MS_MAX = 1_000
"""How long a full process leaves records in the client before a pause throws them away there."""
DEPART_POLL_S = 0.02  # A turn waits so long while partitions are to be given back.


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
        is_late: Callable[[Lane], bool],
        meter: Meter | None = None,
        ready: Callable[[], object] | None = None,
    ) -> None:
        self._source: Source
        self._plans = {plan.topic: plan for plan in plans.values()}
        self._driver = driver
        self._clock = clock
        self._pulse = pulse
        self._limits = limits
        self._known_id = known_id  # Which incarnation of a topic there is, as told last.
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
        self._pressure = Pressure(limits, is_late)
        self._ordered: tuple[Collection[str], bool] = UNORDERED
        self._obeyed = UNORDERED
        self._departures = Departures(driver, clock)
        self._leaving = False
        self._serving = Serving(ready)

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
        if self.verdicts.waiting:
            paused = {lane: self._paused[lane.source] for lane in self.running}
            self.verdicts.carry_out(self._source, paused, self.misplaced)
        if self._driver.is_leaving() and not self._leaving:
            self.leave()
        if self._departures:
            self._depart()
            timeout_s = min(timeout_s, DEPART_POLL_S)
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
        self._hold("no_room", self.running if (room := self._room()) <= 0 else ())
        self._hold("window", [lane for lane in self.running if self._is_full(lane)])
        records = self._source.poll(min(BATCH_MAX, max(room, 1)), timeout_s)
        self._turn.polled()
        taken = self._take(records)
        self._turn.spent("hand")
        return taken

    def leave(self) -> None:
        """Begin to give every partition back; `left` tells when that is done."""
        self._leaving = True
        within = leaving(self._limits)
        self._departures.hurry(within)
        self._let_go([p for p in self.lanes if not self._departures.has(p)], within)

    @property
    def left(self) -> bool:
        """Whether nothing is served here any more, and nothing will be."""
        return self._leaving and not self._departures

    def close(self) -> None:
        """Leave the group: drains, commits and gives every partition back.

        It drains first, and polls meanwhile: a client that is closing, or is not polled, does not
        stay in its group, and jobs that still run would be handed to another worker.
        """
        if not self._leaving:
            self.leave()
        while not self.left:
            self.cycle(DEPART_POLL_S)
        with self._turn.busy("leaving"):
            self._source.close()

    def assigned(self, partitions: Mapping[TopicPartition, Position | None]) -> None:
        """Make a lane for each; it starts when it is restored."""
        self._turn.changes["assigned"] += 1
        if self._leaving:
            return  # It is given back as soon as what runs here has ended.
        for partition, committed in partitions.items():
            lane = self._new_lane(partition)
            lane.lost = self._departures.losses.pop(partition, None)
            meter = self._meter.takeovers if self._meter is not None else None
            lane.phases = Phases(self._turn.since, lane.queue, meter)
            # What the group has, not where the lane starts: a mirror may be ahead of it.
            self._committed[lane] = committed.offset if committed is not None else -1
            if partition[1] < self._plans[partition[0]].partitions:
                self._driver.prepare(lane, committed)
            else:
                lane.refuse_undeclared()
        self._serving.assigned(partitions)

    def _new_lane(self, partition: TopicPartition) -> Lane:
        plan = self._plans[partition[0]]
        lane = Lane(plan.name, partition, plan.window_ms, self._limits.window)
        lane.meter = self._meter.queues[plan.name] if self._meter is not None else None
        self.lanes[partition] = lane
        self._paused[partition] = set()
        return lane

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Let what runs end; then settle, commit as handed over cleanly, and give back."""
        self._turn.changes["revoked"] += 1
        self._let_go([p for p in partitions if not self._departures.has(p)], moving(self._limits))
        self._depart()

    def go_on(self) -> None:
        """One turn inside a revocation: the other partitions are served."""
        self.cycle(DEPART_POLL_S)

    def _let_go(self, partitions: Sequence[TopicPartition], within: Within) -> None:
        lanes = [lane for p in partitions if (lane := self.lanes.get(p)) is not None]
        self._departures.forget(lanes)
        served = [lane for lane in lanes if lane in self.running]
        coming = [lane for lane in lanes if lane not in self.running]
        self._departures.begin(partitions, served, coming, within)
        self._hold(LEAVING, self._departures.lanes)

    def _depart(self) -> None:
        """Give back what is through."""
        for departure in self._departures.step():
            if departure.partitions:
                self._give_back(departure)
            else:
                for lane in departure.served:
                    self._replace(lane)

    def _give_back(self, departure: Departure) -> None:
        lanes = [*departure.served, *departure.able]
        positions = {lane.source: handed_over(lane) for lane in lanes}
        with self._turn.busy("revoked"):
            if positions:
                self._source.commit(positions, wait=True)
        self.running.difference_update(self._forget(departure.partitions))
        self._serving.given_back(positions)
        self._source.release(departure.partitions)

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        """Somebody else owns them already: commit nothing, stop."""
        self._turn.changes["lost"] += 1
        gone = self._forget(partitions)
        self._departures.lost(gone)
        self._driver.end(gone)
        self.running.difference_update(gone)
        self._serving.lost(gone)

    def misplaced(self, partition: TopicPartition, reason: str) -> None:
        """Take up nothing more of it; what it has begun ends and is committed as ever."""
        lane = self.lanes.get(partition)
        if lane is not None and lane in self.running and not lane.refused:
            lane.refuse(reason)
            self._hold(lane.refusal, [each for each in self.running if each.refused])

    def _follow_topics(self) -> None:
        """Begin anew where a topic under a lane was deleted and created again."""
        lanes = [x for x in self.lanes.values() if x in self.running or x.refusal == NOT_IN_LOG]
        for lane in [x for x in lanes if x not in self._departures.lanes]:
            plan = self._plans[lane.source[0]]
            if self._known_id(plan.topic) not in {"", lane.topic_id}:
                self._begin_anew(lane, plan.topic)
            elif lane.dedup_id and self._known_id(plan.dedup) not in {"", lane.dedup_id}:
                self._begin_anew(lane, plan.dedup)

    def _begin_anew(self, lane: Lane, topic: str) -> None:
        """End a lane as if it were lost and make another; it drains if only its rows are gone."""
        extra = {"partition": lane.source, "made_anew": topic, "offset": lane.mirrored}
        log.error("topic_made_anew", extra=extra)
        if topic == lane.source[0] or lane not in self.running:
            self._driver.end([lane])
            self._replace(lane)
        else:
            self._departures.begin((), [lane], [], moving(self._limits))
            self._hold(LEAVING, self._departures.lanes)

    def _replace(self, lane: Lane) -> None:
        """Make another lane of the same partition, which goes on without a word from the group."""
        self._forget([lane.source])
        self.running.discard(lane)
        self._source.pause([lane.source])
        heir = self._new_lane(lane.source)
        heir.after = lane.last_word()
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
            if self.lanes.get(lane.source) is not lane or self._departures.restored(lane):
                continue
            self._driver.begin(lane)
            self.running.add(lane)
            self._source.start(lane.source, start)
            self._serving.started(lane, start)
        self._serving.tell(self.lanes.values(), self.running)

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
        # What departs will not start: it only takes up memory until it is given back.
        lanes = (lane for lane in self._served() if OPERATOR not in self._paused[lane.source])
        return self._pressure.room(lanes)

    def _is_stuffed(self) -> bool:
        """Whether nothing that is served here has room for another record."""
        lanes = self._served()
        return bool(lanes) and (self._room() <= 0 or all(self._is_full(lane) for lane in lanes))

    def _served(self) -> Collection[Lane]:
        """The lanes of which jobs may start."""
        return self.running - self._departures.lanes if self._departures else self.running

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
        if ordered != self._obeyed:  # orders about jobs and types change nothing here
            log.info("pauses_changed", extra={"queues": sorted(queues), "quiet": quiet})
        self._obeyed = ordered
        self._hold(OPERATOR, [lane for lane in self.running if lane.queue in queues])
        self._hold(QUIET, self.running if quiet else ())

    def _commit_due(self) -> None:
        now_ms = self._clock.monotonic_ms()
        if now_ms < self._next_commit_ms:
            return
        self._next_commit_ms = now_ms + self._limits.commit_ms
        self._follow_topics()
        self._serving.cleared(self.running)
        positions = {
            lane.source: in_topic(Position(lane.mirrored), lane.topic_id)
            for lane in self.running
            if lane.mirrored > self._committed[lane]
        }
        if positions:
            self._source.commit(positions, wait=False)
            told = [lane for lane in self.running if lane.source in positions]
            self._committed |= {lane: positions[lane.source].offset for lane in told}
