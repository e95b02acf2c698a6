"""A member whose place is not in its log, on the broker in memory and on Kafka alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.harness.member import turn_until

from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from tests.harness.bench import Bench
    from tests.harness.member import Member

BENCHES = ("memory", "kafka", "kafka-classic")


def publish(bench: Bench, topic: str, count: int, partition: int = 0, start: int = 0) -> None:
    """Records whose value says their number."""
    values = range(start, start + count)
    bench.sink.publish([Outgoing(topic, b"k", b"%d" % value, partition) for value in values])


def filled(bench: Bench, partitions: int = 1) -> str:
    """A topic with five records in each partition."""
    topic = bench.topic(partitions)
    for partition in range(partitions):
        publish(bench, topic, 5, partition)
    return topic


def owner(bench: Bench, topic: str, partitions: int = 1) -> Member:
    """A member that owns the whole topic and has started nothing."""
    member = bench.member(bench.group(), topic)
    turn_until([member], lambda: len(member.owned) == partitions)
    return member


def turn_often(member: Member) -> None:
    """Give what was fetched before a pause the time to be thrown away."""
    for _ in range(10):
        member.turn(0.05)


def takes_one(member: Member) -> bool:
    """Deliver one record at most, whatever was fetched; whether there is one."""
    member.turn(0.05, limit=1)
    return bool(member.records)


def numbers(member: Member) -> list[int]:
    return [int(value or b"") for value in member.values()]


@pytest.mark.parametrize(("kept_from", "place"), [(0, 10), (3, 1)])
def test_a_place_outside_the_log_stops_that_partition_alone(
    bench: Bench, kept_from: int, place: int
) -> None:
    topic = filled(bench, 2)
    bench.truncate((topic, 0), kept_from)
    member = owner(bench, topic, 2)

    member.source.start((topic, 0), place)
    member.source.start((topic, 1), 2)
    turn_until([member], lambda: len(member.records) == 3 and bool(member.reasons))
    publish(bench, topic, 1, partition=1, start=77)
    turn_until([member], lambda: len(member.records) == 4)

    assert [h.partitions for h in member.heard if h.what == "misplaced"] == [{(topic, 0)}]
    assert topic in member.reasons[0]
    assert numbers(member) == [2, 3, 4, 77]


def test_a_partition_that_was_stopped_so_can_be_started_at_another_place(bench: Bench) -> None:
    topic = filled(bench)
    member = owner(bench, topic)
    member.source.start((topic, 0), 10)
    turn_until([member], lambda: bool(member.reasons))

    member.source.start((topic, 0), 3)
    turn_until([member], lambda: len(member.records) == 2)
    publish(bench, topic, 1, start=5)
    turn_until([member], lambda: len(member.records) == 3)

    assert numbers(member) == [3, 4, 5]


def test_what_retention_takes_under_a_paused_partition_stops_it_alone(bench: Bench) -> None:
    topic = filled(bench, 2)
    member = owner(bench, topic, 2)
    member.source.start((topic, 0), 0)
    turn_until([], lambda: takes_one(member))
    member.source.pause([(topic, 0)])
    turn_often(member)

    bench.truncate((topic, 0), 4)
    member.source.resume([(topic, 0)])
    member.source.start((topic, 1), 4)
    turn_until([member], lambda: bool(member.reasons) and len(member.records) == 2)

    assert numbers(member) == [0, 4]
