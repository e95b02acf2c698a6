"""Lanes on their way out: what runs of them may end, and then they are handed over.

A revoked partition belongs to this member until it gives it back. So its jobs may end here while
the other partitions are served. `step` looks once and never waits; the thread that polls calls it
in each turn.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from jobstream_processors.assignment.handover import Lost, clean_note
from jobstream_processors.assignment.lane import Arrival, Lane
from jobstream_processors.ports import Position, TopicPartition
from jobstream_processors.topic_marks import in_topic

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from jobstream_processors.assignment.driver import Driver
    from jobstream_processors.assignment.pressure import Limits
    from jobstream_processors.ports import Clock

log = logging.getLogger("jobstream.worker")

CUT_MS = 2_000
"""How long a run that was cut may take to end: a coroutine cleans up, a child process dies."""
RESTORED_MS_MAX = 3_000
"""How long a hand-over waits for a table that is being restored."""
ROWS_MS = 3_000
"""How long a process that leaves waits for acknowledgements, beyond its drain."""
GROUP_MARGIN_MS = 30_000
"""So much earlier than the group gives up on it, a partition is given back whatever it lacks."""


class Within(NamedTuple):
    """How long a departure may take, from its begin."""

    runs_ms: int
    """Until jobs that run are cut."""
    rows_ms: int
    """Until ends that are not acknowledged are waited for no more."""


@dataclass(slots=True, eq=False)
class Departure:
    """What leaves together."""

    partitions: tuple[TopicPartition, ...]
    served: list[Lane]
    coming: list[Arrival]
    """Of which the table is being restored."""
    coming_until_ms: int
    runs_until_ms: int
    rows_until_ms: int
    cut_until_ms: int | None = None
    """Set once the runs were cut."""
    able: list[Lane] = field(default_factory=list)
    """Lanes that were restored meanwhile."""


def leaving(limits: Limits) -> Within:
    """How long what a process holds may take once the process is to leave."""
    return Within(limits.drain_ms, limits.drain_ms + ROWS_MS)


def moving(limits: Limits) -> Within:
    """How long a partition that others are to have may be kept."""
    bound_ms = limits.rebalance_ms - GROUP_MARGIN_MS
    return Within(min(limits.rebalance_drain_ms, bound_ms), bound_ms)


class Departures:
    """Every departure under way."""

    def __init__(self, driver: Driver, clock: Clock) -> None:
        self._driver = driver
        self._clock = clock
        self._under_way: list[Departure] = []
        self.lanes: set[Lane] = set()
        """Lanes that drain: nothing of them starts."""
        self.losses: dict[TopicPartition, Lost] = {}
        """What was known here of partitions that were lost and have not come back."""

    def __bool__(self) -> bool:
        return bool(self._under_way)

    def begin(
        self,
        partitions: Iterable[TopicPartition],
        served: list[Lane],
        coming: list[Arrival],
        within: Within,
    ) -> None:
        """Let partitions go: those of them that are served, and those that are to come."""
        now_ms = self._now_ms()
        # One that has claimed is waited for: it may have announced by now how far it begins, and
        # the next owner would suspect these jobs, though none has run here.
        half_way = [arrival for arrival in coming if arrival.claim >= 0]
        self.end([arrival for arrival in coming if arrival.claim < 0])
        self._driver.drain(served)
        self.lanes.update(served)
        self._under_way.append(
            Departure(
                tuple(partitions),
                served,
                half_way,
                now_ms + RESTORED_MS_MAX,
                now_ms + within.runs_ms,
                now_ms + within.rows_ms,
            )
        )

    def has(self, partition: TopicPartition) -> bool:
        """Whether it leaves already."""
        return any(partition in departure.partitions for departure in self._under_way)

    def forget(self, lanes: Collection[Lane]) -> None:
        """These leave in another way from now on."""
        for departure in self._under_way:
            departure.served = [lane for lane in departure.served if lane not in lanes]

    def hurry(self, within: Within) -> None:
        """The process leaves: what departs already has no more time than the rest."""
        now_ms = self._now_ms()
        for departure in self._under_way:
            departure.runs_until_ms = min(departure.runs_until_ms, now_ms + within.runs_ms)
            departure.rows_until_ms = min(departure.rows_until_ms, now_ms + within.rows_ms)

    def restored(self, arrival: Arrival, lane: Lane) -> bool:
        """One that came is a lane now; whether it departs, and so is not to be served."""
        for departure in self._under_way:
            if arrival in departure.coming:
                departure.coming.remove(arrival)
                departure.able.append(lane)
                return True
        return False

    def lost(self, gone: Collection[Arrival | Lane]) -> None:
        """Others own these: nothing of them is waited for or handed over."""
        self._count_cut(_lanes(gone))
        for each in gone:
            if isinstance(each, Arrival) and each.lost is not None:
                self.losses[each.source] = each.lost
        for lane in _lanes(gone):
            self.losses[lane.source] = Lost(lane.claim, lane.word())
        self.lanes.difference_update(_lanes(gone))
        places = {each.source for each in gone}
        for departure in self._under_way:
            departure.served = [lane for lane in departure.served if lane.source not in places]
            departure.coming = [one for one in departure.coming if one.source not in places]
            departure.able = [lane for lane in departure.able if lane.source not in places]
            departure.partitions = tuple(p for p in departure.partitions if p not in places)
        self.end(gone)

    def end(self, gone: Iterable[Arrival | Lane]) -> None:
        """End these at once."""
        gone = tuple(gone)
        for each in gone:
            if isinstance(each, Arrival):
                each.end()
        if lanes := _lanes(gone):
            self._driver.end(lanes)

    def step(self) -> list[Departure]:
        """Look once at each; those that are over are handed over, and no longer under way."""
        if not self._under_way:
            return []
        now_ms = self._now_ms()
        over = [departure for departure in self._under_way if self._is_over(departure, now_ms)]
        for departure in over:
            self._under_way.remove(departure)
            self.end(departure.coming)
            if lanes := [*departure.served, *departure.able]:
                self._driver.hand_over(lanes)
            self.lanes.difference_update(departure.served)
        return over

    def _is_over(self, departure: Departure, now_ms: int) -> bool:
        running, unsettled = self._driver.remains(departure.served)
        if running and now_ms < departure.runs_until_ms:
            return False
        if running and departure.cut_until_ms is None:
            departure.cut_until_ms = now_ms + CUT_MS
            extra = {"partitions": [lane.source for lane in departure.served], "jobs": running}
            log.warning("jobs_cut", extra=extra)
            self._count_cut(departure.served)
            self._driver.cut(departure.served)
            return False
        if running and now_ms < (departure.cut_until_ms or 0):
            return False
        if unsettled and now_ms < departure.rows_until_ms:
            return False
        return not departure.coming or now_ms >= departure.coming_until_ms

    def _now_ms(self) -> int:
        # A machine that was suspended takes no time away from jobs.
        return int(self._clock.awake_s() * 1_000)

    def _count_cut(self, lanes: Iterable[Lane]) -> None:
        for lane in lanes:
            if lane.meter is not None:
                lane.meter.cut += self._driver.remains([lane]).running


def _lanes(each: Iterable[Arrival | Lane]) -> list[Lane]:
    """The lanes among these, and those that came of the others."""
    found = ((one.lane if isinstance(one, Arrival) else one) for one in each)
    return [lane for lane in found if lane is not None]


def handed_over(lane: Lane) -> Position:
    """The place of a lane that was handed over, with its owner's word for the next one."""
    at = lane.watermark.position
    told = Position(at, clean_note(lane.claim, at, lane.suspect_before, lane.left))
    return in_topic(told, lane.topic_id)
