"""The feed of one worker on a broker in memory, and a desk that stands where its engine would."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from jobstream.testing import MemoryShard, MemorySource
from jobstream_processors.assignment.driver import Remains
from jobstream_processors.assignment.feed import Feed
from jobstream_processors.assignment.lane import Lane
from jobstream_processors.assignment.pressure import Limits
from jobstream_processors.assignment.pulse import Pulse
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.watch.standing import facts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.unit.shop import Shop

    from jobstream_processors.assignment.lane import Arrival
    from jobstream_processors.ports import Listener, Position, Record, TopicPartition
    from jobstream_processors.watch.standing import LaneFacts

GROUP = "shop"
SESSION_MS = 10_000


class Desk:
    """The feed of one worker, and what stands for its engine: it finishes what it is told to."""

    def __init__(
        self,
        shop: Shop,
        limits: Limits,
        *,
        ready: bool = True,
        tell_ready: Callable[[], object] | None = None,
    ) -> None:
        self.shop = shop
        self.ready = ready
        """Whether lanes are restored at once."""
        self.handed: list[tuple[str, int]] = []
        self.drained: list[Lane] = []
        self.running: dict[TopicPartition, int] = {}
        """How many handlers run, by partition."""
        self.unsettled: dict[TopicPartition, int] = {}
        """How many ends are not acknowledged, by partition."""
        self.cuts: list[Lane] = []
        self.handed_over: list[Lane] = []
        self.leaving = False
        self.ended: list[Lane] = []
        self.waits = 0
        self.late: set[Lane] = set()
        """Lanes whose brokers do not acknowledge."""
        self.arrivals: list[Arrival] = []
        """All that were to be prepared."""
        self.to_prepare: list[Arrival] = []
        """Those that were not restored at once."""
        self.pulse = Pulse(shop.clock, SESSION_MS)
        known = shop.log.known_id
        late = self.late.__contains__
        make = partial(Feed, known_id=known, is_late=late, ready=tell_ready)
        self.feed = make(shop.plans, self, shop.clock, self.pulse, limits)
        self.source = MemorySource(shop.broker, GROUP, [shop.plan.topic])
        self.feed.join(self._join)

    def _join(self, listener: Listener) -> MemorySource:
        self.source.listen(listener)
        return self.source

    def turns(self, count: int = 4) -> Desk:
        for _ in range(count):
            self.feed.cycle(0)
        return self

    def lane(self, partition: int = 0) -> Lane:
        """The lane that is served."""
        served = {lane.source: lane for lane in self.feed.served()}
        return served[self.place(partition)]

    def facts(self) -> list[LaneFacts]:
        """How each partition stands, for those who look from outside."""
        return [facts_of(*each) for each in self.feed.partitions()]

    def finish(self, *offsets: int, partition: int = 0) -> None:
        lane = self.lane(partition)
        for offset in offsets:
            lane.finish(offset)
        self.show(lane)

    def committed(self, partition: int = 0) -> Position | None:
        return self.shop.broker.committed(GROUP, (self.shop.plan.topic, partition))

    def restore(self, arrival: Arrival, start: int) -> None:
        arrival.claim = 7
        known = self.shop.log.known_id
        arrival.topic_id = known(arrival.source[0])
        arrival.dedup_id = known(self.shop.plan.dedup)
        arrival.lane = Lane(arrival, MemoryShard(), Watermark(start))
        self.feed.prepared(arrival)

    def show(self, lane: Lane) -> None:
        """Show the watermark, and mirror it at once."""
        lane.show()
        lane.acknowledged(lane.snapshot)

    def place(self, partition: int = 0) -> TopicPartition:
        return self.shop.plan.topic, partition

    def fill(self, count: int, size: int = 100, partition: int = 0) -> None:
        for _ in range(count):
            self.shop.put(b"v" * size, partition=partition)

    # -- the driver's side

    def hand(self, batch: list[tuple[Lane, list[Record]]]) -> None:
        for lane, records in batch:
            for record in records:
                offset = record.offset() or 0
                if lane.watermark.begin(offset):
                    self.handed.append((lane.source[0], offset))

    def prepare(self, arrival: Arrival) -> None:
        self.arrivals.append(arrival)
        if self.ready:
            self.restore(arrival, arrival.committed.offset if arrival.committed is not None else 0)
        else:
            self.to_prepare.append(arrival)

    def begin(self, lane: Lane) -> None:
        assert lane.live

    def drain(self, lanes: Sequence[Lane]) -> None:
        self.drained += lanes

    def remains(self, lanes: Sequence[Lane]) -> Remains:
        running = sum(self.running.get(lane.source, 0) for lane in lanes)
        return Remains(running, sum(self.unsettled.get(lane.source, 0) for lane in lanes))

    def cut(self, lanes: Sequence[Lane]) -> None:
        self.cuts += lanes

    def hand_over(self, lanes: Sequence[Lane]) -> None:
        self.handed_over += lanes
        self._stop(lanes)

    def is_leaving(self) -> bool:
        return self.leaving

    def end(self, lanes: Sequence[Lane]) -> None:
        self.ended += lanes
        self._stop(lanes)

    def wait(self, timeout_s: float) -> None:
        assert timeout_s >= 0
        self.waits += 1

    def _stop(self, lanes: Sequence[Lane]) -> None:
        for lane in lanes:
            lane.end()


@pytest.fixture
def new_desk(shop: Shop) -> Callable[..., Desk]:
    def make(
        limits: Limits | None = None,
        *,
        ready: bool = True,
        tell_ready: Callable[[], object] | None = None,
    ) -> Desk:
        return Desk(shop, limits or Limits(), ready=ready, tell_ready=tell_ready)

    return make
