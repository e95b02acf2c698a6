"""The partitions that the group gave this process: which come, which are served, which leave.

Used by the thread that polls, which tells it of assignments, and asks each turn what is to be done.
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
from jobstream_processors.assignment.holds import LEAVING, Holds
from jobstream_processors.assignment.lane import (
    NOT_IN_LOG,
    UNDECLARED,
    UNDECLARED_WHY,
    Arrival,
    Lane,
)
from jobstream_processors.assignment.phases import Phases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from jobstream_processors.assignment.departures import Departure
    from jobstream_processors.assignment.driver import Driver
    from jobstream_processors.assignment.pressure import Limits
    from jobstream_processors.meter import Meter
    from jobstream_processors.ports import Clock, Position, Source, TopicPartition
    from jobstream_processors.queue_plan import QueuePlan
    from jobstream_processors.turn_meter import TurnMeter

log = logging.getLogger("jobstream.worker")


class Roster:
    """Every partition that is assigned here."""

    def __init__(
        self,
        plans: Mapping[str, QueuePlan],
        driver: Driver,
        clock: Clock,
        limits: Limits,
        *,
        known_id: Callable[[str], str],
        turn: TurnMeter,
        meter: Meter | None,
        ready: Callable[[], object] | None,
    ) -> None:
        self.source: Source
        self._plans = {plan.topic: plan for plan in plans.values()}
        self._driver = driver
        self._limits = limits
        self._known_id = known_id
        """Which incarnation of a topic there is, as last heard."""
        self._turn = turn
        self._meter = meter
        self.arrivals: dict[TopicPartition, Arrival] = {}
        self.lanes: dict[TopicPartition, Lane] = {}
        """Those that are restored and served."""
        self.holds = Holds()
        self._ready: deque[Arrival | BaseException] = deque()
        self._departures = Departures(driver, clock)
        self._leaving = False
        self._serving = Serving(ready)

    def partitions(self) -> list[tuple[Arrival | Lane, Sequence[str]]]:
        """What is assigned, and why each is paused. Safe from any thread, a moment apart."""
        found: dict[TopicPartition, Arrival | Lane] = {**self.arrivals, **self.lanes}
        return [(x, self.holds.of(x) if isinstance(x, Lane) else ()) for x in found.values()]

    @property
    def departing(self) -> set[Lane]:
        """Lanes of which no job starts any more."""
        return self._departures.lanes

    # -- those that come

    def assigned(self, partitions: Mapping[TopicPartition, Position | None]) -> None:
        """The group gave these to this process; each is served when it is restored."""
        self._turn.changes["assigned"] += 1
        if self._leaving:
            return  # It is given back as soon as what runs here has ended.
        for partition, committed in partitions.items():
            arrival = self._expect(partition, committed)
            arrival.lost = self._departures.losses.pop(partition, None)
            meter = self._meter.takeovers if self._meter is not None else None
            arrival.phases = Phases(self._turn.since, arrival.queue, meter)
            if partition[1] < self._plans[partition[0]].partitions:
                self._driver.prepare(arrival)
            else:
                arrival.refuse(UNDECLARED_WHY, UNDECLARED)
        self._serving.assigned(partitions)

    def prepared(self, arrival: Arrival) -> None:
        """It is restored; may be called from any thread."""
        self._ready.append(arrival)

    def failed(self, error: BaseException) -> None:
        """A partition can't be served; raised in the next turn. May be called from any thread."""
        self._ready.append(error)

    def start_ready(self) -> None:
        """Serve what is restored by now."""
        while self._ready:
            item = self._ready.popleft()
            if isinstance(item, BaseException):
                raise item
            lane, place = item.lane, item.source
            is_here = lane is not None and self.arrivals.get(place) is item
            if lane is None or not is_here or self._departures.restored(item, lane):
                continue
            self._driver.begin(lane)
            self.lanes[place] = lane
            del self.arrivals[place]
            start = lane.watermark.position
            self.source.start(place, start)
            self._serving.started(lane, start)
        self._serving.tell(self.arrivals.values(), self.lanes.values())

    def _expect(self, partition: TopicPartition, committed: Position | None) -> Arrival:
        plan = self._plans[partition[0]]
        made = Arrival(plan.name, partition, plan.window_ms, self._limits.window, committed)
        made.meter = self._meter.queues[plan.name] if self._meter is not None else None
        self.arrivals[partition] = made
        return made

    # -- those that go

    def leave(self) -> None:
        """Begin to give every partition back; `left` is true when that is done."""
        if not self._leaving:
            self._leaving = True
            within = leaving(self._limits)
            self._departures.hurry(within)
            self._let_go([*self.lanes, *self.arrivals], within)

    @property
    def left(self) -> bool:
        """Whether nothing is served here any more, and nothing will be."""
        return self._leaving and not self._departures

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Let what runs end; then settle, commit as handed over cleanly, and give back."""
        self._turn.changes["revoked"] += 1
        self._let_go(partitions, moving(self._limits))
        self.depart()

    def _let_go(self, partitions: Iterable[TopicPartition], within: Within) -> None:
        places = [place for place in partitions if not self._departures.has(place)]
        lanes = [lane for place in places if (lane := self.lanes.get(place)) is not None]
        coming = [found for place in places if (found := self.arrivals.get(place)) is not None]
        self._departures.forget(lanes)
        self._departures.begin(places, lanes, coming, within)
        self.holds.put(self.source, LEAVING, self._departures.lanes)

    def depart(self) -> bool:
        """Give back what is through; whether anything was on its way out."""
        under_way = bool(self._departures)
        for departure in self._departures.step():
            if departure.partitions:
                self._give_back(departure)
            else:
                for lane in departure.served:
                    self._replace(lane)
        return under_way

    def _give_back(self, departure: Departure) -> None:
        lanes = [*departure.served, *departure.able]
        positions = {lane.source: handed_over(lane) for lane in lanes}
        with self._turn.busy("revoked"):
            if positions:
                self.source.commit(positions, wait=True)
        self._forget(departure.partitions)
        self._serving.given_back(positions)
        self.source.release(departure.partitions)

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        """Other processes own them already: commit nothing, stop."""
        self._turn.changes["lost"] += 1
        gone = self._forget(partitions)
        self._departures.lost(gone)
        self._serving.lost(gone)

    def misplaced(self, partition: TopicPartition, reason: str) -> None:
        """Take up nothing more of it; what it has begun ends and is committed as ever."""
        lane = self.lanes.get(partition)
        if lane is not None and not lane.refused:
            lane.refuse(reason)
            refused = [each for each in self.lanes.values() if each.refused]
            self.holds.put(self.source, NOT_IN_LOG, refused)

    def _forget(self, partitions: Iterable[TopicPartition]) -> list[Arrival | Lane]:
        places = tuple(partitions)
        lanes = [lane for place in places if (lane := self.lanes.pop(place, None)) is not None]
        coming = [found for p in places if (found := self.arrivals.pop(p, None)) is not None]
        self.holds.forget(lanes)
        return [*lanes, *coming]

    # -- those that begin anew

    def look(self) -> None:
        """Begin anew where a topic under a lane was deleted and created again."""
        found: list[Arrival | Lane] = [*self.lanes.values()]
        found += [each for each in self.arrivals.values() if each.refusal == NOT_IN_LOG]
        for each in found:
            if each in self._departures.lanes:
                continue
            plan = self._plans[each.source[0]]
            if self._known_id(plan.topic) not in {"", each.topic_id}:
                self._begin_anew(each, plan.topic)
            elif each.dedup_id and self._known_id(plan.dedup) not in {"", each.dedup_id}:
                self._begin_anew(each, plan.dedup)
        self._serving.cleared(self.lanes.values())

    def _begin_anew(self, each: Arrival | Lane, topic: str) -> None:
        """End it as if it were lost and make another; a lane drains if only its rows are gone."""
        offset = each.mirrored if isinstance(each, Lane) else 0
        extra = {"partition": each.source, "made_anew": topic, "offset": offset}
        log.error("topic_made_anew", extra=extra)
        if topic == each.source[0] or not isinstance(each, Lane):
            self._departures.end([each])
            self._replace(each)
        else:
            self._departures.begin((), [each], [], moving(self._limits))
            self.holds.put(self.source, LEAVING, self._departures.lanes)

    def _replace(self, each: Arrival | Lane) -> None:
        """Make another of the same partition, which goes on without a word from the group."""
        self._forget([each.source])
        self.source.pause([each.source])
        heir = self._expect(each.source, None)
        heir.after = each.last_word()
        self._driver.prepare(heir)
