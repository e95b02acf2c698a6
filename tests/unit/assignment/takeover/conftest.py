"""A worker that takes one partition over again and again, and what its predecessors left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream.testing.memory_tables import MemoryTables
from jobstream_processors.assignment.takeover import Takeover
from jobstream_processors.ports import Outgoing
from jobstream_schemas import Mirror, Row, encode_mirror, encode_row, mirror_key, row_key

if TYPE_CHECKING:
    from tests.unit.shop import Shop

    from jobstream_processors.assignment.handover import Lost
    from jobstream_processors.assignment.lane import Arrival, Lane
    from jobstream_processors.ports import Position, TopicPartition

GROUP = "shop"
OFFSETS = "shop.offsets"


class Bureau:
    """One worker that takes partition 0 over, as often as it is asked to."""

    def __init__(self, shop: Shop, tables: MemoryTables | None = None) -> None:
        self.shop = shop
        self.place: TopicPartition = (shop.plan.topic, 0)
        self.takeover = Takeover(
            GROUP,
            shop.plans,
            shop.sink,
            shop.log,
            tables or MemoryTables(shop.log),
            shop.mirrors,
            shop.clock,
        )

    def served_by(self, tables: MemoryTables) -> Bureau:
        """The same, with tables of its own."""
        return Bureau(self.shop, tables)

    def fill(self, count: int) -> None:
        for number in range(count):
            self.shop.put(b"%d" % number)

    def claim(self) -> int:
        """An owner that dies before it announced anything."""
        now_ms = self.shop.clock.broker_ms()
        row = Row("claim", "", "", 0, 0, 0, b"", b"", now_ms, 0, GROUP)
        record = Outgoing(self.shop.plan.dedup, row_key(row), encode_row(row), 0)
        return self.shop.sink.publish([record])[self.shop.plan.dedup, 0]

    def arrival(self, committed: Position | None = None) -> Arrival:
        return self.shop.arrival(0, committed)

    def take(self, committed: Position | None = None, lost: Lost | None = None) -> tuple[Lane, int]:
        arrival = self.arrival(committed)
        arrival.lost = lost
        lane = self.takeover.prepare(arrival)
        assert lane is not None, arrival.refused
        assert arrival.lane is lane
        return lane, lane.watermark.position

    def mirror(
        self,
        position: int,
        finished: tuple[tuple[int, int], ...] = (),
        *,
        topic_id: str = "",
        unclean: int = 0,
        claim: int = -1,
        may_begin: int = 0,
    ) -> None:
        made = Mirror(
            group=GROUP,
            topic=self.shop.plan.topic,
            topic_id=topic_id or self.shop.broker.topic_id(self.shop.plan.topic),
            partition=0,
            position=position,
            finished=finished,
            unclean=unclean,
            at=self.shop.clock.broker_ms(),
            claim=claim,
            may_begin=may_begin,
        )
        self.shop.sink.publish([Outgoing(OFFSETS, mirror_key(made), encode_mirror(made), 0)])


@pytest.fixture
def bureau(shop: Shop) -> Bureau:
    made = Bureau(shop)
    made.fill(10)
    return made
