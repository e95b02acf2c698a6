"""What a member of a consumer group may rely on, on the broker in memory and on Kafka alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as Place
from tests.harness.member import turn_until

from jobstream.errors import SourceFailed
from jobstream_processors.ports import Outgoing, Position

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.harness.bench import Bench
    from tests.harness.member import Member

    from jobstream_processors.ports import TopicPartition

BENCHES = ("memory", "kafka", "kafka-classic")


def places(topic: str, count: int) -> set[TopicPartition]:
    return {(topic, number) for number in range(count)}


def publish(bench: Bench, topic: str, count: int, partition: int = 0, start: int = 0) -> None:
    """Records whose value says their number."""
    numbers = range(start, start + count)
    bench.sink.publish([Outgoing(topic, b"k", b"%d" % number, partition) for number in numbers])


def filled(bench: Bench, partitions: int = 1, count: int = 10) -> str:
    """A topic with `count` records in each partition: places up to there are in the log."""
    topic = bench.topic(partitions)
    for partition in range(partitions):
        publish(bench, topic, count, partition)
    return topic


def owner(bench: Bench, group: str, topic: str, partitions: int = 1) -> Member:
    """A member that owns the whole topic and has started nothing."""
    member = bench.member(group, topic)
    turn_until([member], lambda: member.owned == places(topic, partitions))
    return member


def turn_often(member: Member) -> None:
    """Give deliveries that must not come the time to come."""
    for _ in range(10):
        member.turn(0.05)


def takes_one(member: Member) -> bool:
    """Deliver one record at most, whatever was fetched; whether there is one."""
    member.turn(0.05, limit=1)
    return bool(member.records)


def numbers(member: Member) -> list[int]:
    return [int(value or b"") for value in member.values()]


def test_a_lone_member_is_assigned_everything_with_nothing_committed(bench: Bench) -> None:
    topic = bench.topic(3)

    member = owner(bench, bench.group(), topic, 3)

    assert member.committed == dict.fromkeys(places(topic, 3))


def test_an_assigned_partition_waits_for_its_start(bench: Bench) -> None:
    topic = bench.topic()
    publish(bench, topic, 5)
    member = owner(bench, bench.group(), topic)

    turn_often(member)
    assert member.records == []

    member.source.start((topic, 0), 0)
    turn_until([member], lambda: len(member.records) == 5)
    assert numbers(member) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("start", [0, 3, 9])
def test_delivers_from_where_it_is_started(bench: Bench, start: int) -> None:
    topic = bench.topic()
    publish(bench, topic, 10)
    member = owner(bench, bench.group(), topic)

    member.source.start((topic, 0), start)
    turn_until([member], lambda: len(member.records) == 10 - start)

    assert numbers(member) == list(range(start, 10))


def test_started_from_inside_the_assignment_delivers_everything(bench: Bench) -> None:
    partitions = 12
    topic = filled(bench, partitions)
    member = bench.member(bench.group(), topic)

    def start(assigned: Iterable[TopicPartition]) -> None:
        for place in assigned:
            member.source.start(place, 4)

    member.on_assign = start
    turn_until([member], lambda: len(member.records) == 6 * partitions)

    assert sorted(numbers(member)) == sorted([4, 5, 6, 7, 8, 9] * partitions)


def test_started_at_the_end_delivers_what_comes_next(bench: Bench) -> None:
    topic = bench.topic()
    publish(bench, topic, 4)
    member = owner(bench, bench.group(), topic)

    member.source.start((topic, 0), 4)
    turn_often(member)
    publish(bench, topic, 1, start=4)
    turn_until([member], lambda: bool(member.records))

    assert numbers(member) == [4]


def test_what_a_client_refuses_inside_a_listener_comes_out_of_the_poll(bench: Bench) -> None:
    """As an exception: an error raised by C code must not slip through every except clause."""
    member = bench.member(bench.group(), bench.topic())
    foreign = Consumer({"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "log_level": 2})

    member.on_assign = lambda _: foreign.seek(Place("nowhere", 0, 5))

    with pytest.raises((KafkaException, SourceFailed), match="seek"):
        turn_until([member], lambda: bool(member.owned and member.records))
    foreign.close()


def test_never_more_than_the_limit(bench: Bench) -> None:
    topic = bench.topic()
    publish(bench, topic, 10)
    member = owner(bench, bench.group(), topic)
    member.source.start((topic, 0), 0)

    sizes: list[int] = []

    def all_there() -> bool:
        sizes.append(len(member.source.poll(3, 0.05)))
        return sum(sizes) == 10

    turn_until([], all_there)
    assert max(sizes) <= 3


def test_a_paused_partition_is_silent_and_goes_on_where_it_stopped(bench: Bench) -> None:
    topic = bench.topic(2)
    member = owner(bench, bench.group(), topic, 2)
    for place in places(topic, 2):
        member.source.start(place, 0)
    publish(bench, topic, 3, partition=0)
    turn_until([member], lambda: len(member.records) == 3)

    member.source.pause([(topic, 0)])
    publish(bench, topic, 2, partition=0, start=3)
    publish(bench, topic, 2, partition=1, start=100)
    turn_until([member], lambda: len(member.records) == 5)
    turn_often(member)
    assert numbers(member) == [0, 1, 2, 100, 101]

    member.source.resume([(topic, 0)])
    turn_until([member], lambda: len(member.records) == 7)
    assert numbers(member)[5:] == [3, 4]


def test_what_was_fetched_before_a_pause_is_not_delivered_in_it(bench: Bench) -> None:
    topic = bench.topic()
    publish(bench, topic, 100)
    member = owner(bench, bench.group(), topic)
    member.source.start((topic, 0), 0)
    turn_until([], lambda: takes_one(member))

    member.source.pause([(topic, 0)])
    turn_often(member)
    assert numbers(member) == [0]

    member.source.resume([(topic, 0)])
    turn_until([member], lambda: len(member.records) == 100)
    assert numbers(member) == list(range(100))


def test_two_members_share_and_never_own_the_same(bench: Bench) -> None:
    topic, group = bench.topic(4), bench.group()
    first = owner(bench, group, topic, 4)
    second = bench.member(group, topic)

    turn_until([first, second], lambda: len(second.owned) == 2)

    assert len(first.owned) == 2
    assert first.owned | second.owned == places(topic, 4)
    assert [heard.what for heard in first.heard] == ["assigned", "revoked"]


def test_a_leavers_partitions_move(bench: Bench) -> None:
    topic, group = bench.topic(4), bench.group()
    first = owner(bench, group, topic, 4)
    second = bench.member(group, topic)
    turn_until([first, second], lambda: len(second.owned) == 2)
    had = frozenset(first.owned)

    first.source.close()

    assert first.heard[-1] == ("revoked", had)
    turn_until([second], lambda: second.owned == places(topic, 4))


def test_a_new_owner_comes_after_the_old_one_gave_back(bench: Bench) -> None:
    topic, group = filled(bench, 2), bench.group()
    first = owner(bench, group, topic, 2)
    second = bench.member(group, topic)
    owned_by_second_at_revoke: list[set[TopicPartition]] = []

    def settle(partitions: Iterable[TopicPartition]) -> None:
        owned_by_second_at_revoke.append(set(second.owned))
        notes = {place: Position(7, "clean:7") for place in partitions}
        first.source.commit(notes, wait=True)

    first.on_revoke = settle
    turn_until([first, second], lambda: len(second.owned) == 1)

    assert owned_by_second_at_revoke == [set()]
    (moved,) = second.owned
    assert second.committed[moved] == Position(7, "clean:7")


def test_a_handed_over_partition_goes_on_without_a_gap(bench: Bench) -> None:
    topic, group = bench.topic(), bench.group()
    publish(bench, topic, 10)
    first = owner(bench, group, topic)
    first.source.start((topic, 0), 0)
    turn_until([first], lambda: len(first.records) == 10)

    first.source.commit({(topic, 0): Position(6)}, wait=True)
    first.source.close()
    second = owner(bench, group, topic)
    committed = second.committed[topic, 0]
    assert committed == Position(6, "")
    second.source.start((topic, 0), committed.offset)
    turn_until([second], lambda: len(second.records) == 4)

    assert numbers(second) == [6, 7, 8, 9]


def test_a_commit_without_waiting_arrives_while_the_member_polls(bench: Bench) -> None:
    topic, group = filled(bench), bench.group()
    first = owner(bench, group, topic)

    first.source.commit({(topic, 0): Position(3, "a note")}, wait=False)
    turn_often(first)
    first.source.close()

    assert owner(bench, group, topic).committed == {(topic, 0): Position(3, "a note")}


def test_a_commit_without_waiting_arrives_before_the_member_has_left(bench: Bench) -> None:
    topic, group = filled(bench), bench.group()
    first = owner(bench, group, topic)

    first.source.commit({(topic, 0): Position(3)}, wait=False)
    first.source.close()

    assert owner(bench, group, topic).committed == {(topic, 0): Position(3)}


def test_the_last_of_several_commits_counts(bench: Bench) -> None:
    topic, group = filled(bench), bench.group()
    first = owner(bench, group, topic)

    first.source.commit({(topic, 0): Position(5, "late")}, wait=False)
    first.source.commit({(topic, 0): Position(4, "an older place")}, wait=True)
    first.source.close()

    assert owner(bench, group, topic).committed == {(topic, 0): Position(4, "an older place")}


def test_a_note_too_long_is_refused_and_the_old_place_stays(bench: Bench) -> None:
    topic, group = filled(bench), bench.group()
    first = owner(bench, group, topic)
    first.source.commit({(topic, 0): Position(1, "x" * 3_000)}, wait=True)

    first.source.commit({(topic, 0): Position(2, "x" * 5_000)}, wait=True)
    first.source.close()

    assert owner(bench, group, topic).committed == {(topic, 0): Position(1, "x" * 3_000)}


def test_a_live_member_may_commit_for_a_partition_of_another(bench: Bench) -> None:
    topic, group = filled(bench, 2), bench.group()
    first = owner(bench, group, topic, 2)
    second = bench.member(group, topic)
    turn_until([first, second], lambda: len(second.owned) == 1)
    (foreign,) = second.owned

    first.source.commit({foreign: Position(9)}, wait=True)
    second.source.close()
    turn_until([first], lambda: foreign in first.owned)

    assert first.committed[foreign] == Position(9)


def test_groups_know_nothing_of_each_other(bench: Bench) -> None:
    topic = filled(bench)
    first = owner(bench, bench.group(), topic)
    first.source.commit({(topic, 0): Position(3)}, wait=True)

    assert owner(bench, bench.group(), topic).committed == {(topic, 0): None}


def test_a_deleted_group_has_committed_nothing(bench: Bench) -> None:
    topic, group = filled(bench), bench.group()
    first = owner(bench, group, topic)
    first.source.commit({(topic, 0): Position(3)}, wait=True)
    first.source.close()

    bench.delete_group(group)

    assert owner(bench, group, topic).committed == {(topic, 0): None}


def test_a_committed_place_that_is_gone_hurts_only_who_starts_there(bench: Bench) -> None:
    topic, group = filled(bench), bench.group()
    first = owner(bench, group, topic)
    first.source.commit({(topic, 0): Position(99)}, wait=True)
    first.source.close()

    second = owner(bench, group, topic)
    assert second.committed == {(topic, 0): Position(99)}
    turn_often(second)
    second.source.start((topic, 0), 8)
    turn_until([second], lambda: len(second.records) == 2)

    assert numbers(second) == [8, 9]


def test_a_member_that_froze_hears_of_its_loss_after_another_took_over(bench: Bench) -> None:
    topic, group = bench.topic(2), bench.group()
    frozen = bench.frozen_member(group, topic)
    heir = bench.member(group, topic)
    try:
        frozen.freeze()
        turn_until([heir], lambda: heir.owned == places(topic, 2))

        heard = frozen.thaw()
    finally:
        frozen.close()

    assert heard[:1] == ["assigned"]
    assert "lost" in heard
    assert "revoked" not in heard[: heard.index("lost")]
