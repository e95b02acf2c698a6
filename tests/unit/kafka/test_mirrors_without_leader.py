"""Finding mirrors while brokers fail over: a partition without a leader holds up its own alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream.errors import BrokerUnavailable
from jobstream.kafka.follow.mirror_topic import KafkaMirrors
from jobstream.testing import MemoryBroker, MemoryLog, MemorySink, VirtualClock
from jobstream_processors.core.partition import partition_for
from jobstream_processors.ports import Outgoing
from jobstream_schemas import Mirror, encode_mirror, mirror_key

if TYPE_CHECKING:
    from jobstream_processors.ports import TopicPartition

OFFSETS, COUNT = "shop.offsets", 4


class Headless(MemoryLog):
    """A log some of whose partitions have no leader."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker)
        self.dead: set[int] = set()
        self.cut: set[int] = set()
        """Partitions whose end was lost with a leader."""

    def span(self, partition: TopicPartition) -> tuple[int, int]:
        if partition[1] in self.cut:
            return 0, 0
        if partition[1] in self.dead:
            message = f"{partition} has no leader"
            raise BrokerUnavailable(message)
        return super().span(partition)


class Desk:
    """Mirrors of many partitions, and who looks for them."""

    def __init__(self) -> None:
        broker = MemoryBroker(VirtualClock())
        broker.create_topic(OFFSETS, COUNT, compacted=True)
        self.sink, self.log = MemorySink(broker), Headless(broker)
        self.mirrors = KafkaMirrors(self.log, OFFSETS, COUNT)

    def write(self, partition: int, position: int) -> int:
        """Mirror that partition's place; returns the partition in which its mirror stands."""
        made = Mirror("shop", "shop.mail", "id", partition, position, (), 0, 1)
        key = mirror_key(made)
        self.sink.publish([Outgoing(OFFSETS, key, encode_mirror(made))])
        return partition_for(key, COUNT)

    def find(self, partition: int) -> int:
        found = self.mirrors.get("shop", ("shop.mail", partition), "id")
        assert found is not None
        return found.position


def test_each_look_sees_what_was_written_since_the_last() -> None:
    desk = Desk()
    for position in (3, 5, 9):
        for partition in range(10):
            desk.write(partition, position)

        assert [desk.find(partition) for partition in range(10)] == [position] * 10


def test_a_partition_without_a_leader_holds_up_no_other() -> None:
    desk = Desk()
    places = {partition: desk.write(partition, 3) for partition in range(10)}
    desk.mirrors.catch_up()

    desk.log.dead = {places[0]}

    found = {partition: desk.find(partition) for partition, at in places.items() if at != places[0]}
    assert set(found.values()) == {3}
    with pytest.raises(BrokerUnavailable):
        desk.find(0)


def test_one_that_lost_its_end_is_read_from_its_start_without_the_others() -> None:
    desk = Desk()
    places = {partition: desk.write(partition, 3) for partition in range(10)}
    desk.mirrors.catch_up()
    other = next(at for at in places.values() if at != places[0])

    desk.log.dead, desk.log.cut = {other}, {places[0]}
    assert desk.find(0) == 3
    desk.log.cut = set()
    desk.write(0, 2)

    # Read again from the start, the highest place counts still; and no other partition is asked.
    assert desk.find(0) == 3


def test_what_could_not_be_read_at_the_start_is_read_before_the_first_answer() -> None:
    desk = Desk()
    place = desk.write(0, 3)
    desk.log.dead = {(place + 1) % COUNT}
    with pytest.raises(BrokerUnavailable):
        desk.mirrors.catch_up()

    with pytest.raises(BrokerUnavailable):
        desk.find(0)

    desk.log.dead = set()
    assert desk.find(0) == 3
