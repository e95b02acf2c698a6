"""The broker in memory can be as unkind as Kafka, when a test asks for it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.harness.member import Heard, Member

from jobstream.testing import MemoryBroker, MemorySink, MemorySource
from jobstream.testing.errors import GroupNotEmpty, NoSuchMember, NotCompacted, NotOwned
from jobstream.testing.memory_publish import PUBLISH_TIMEOUT_MS
from jobstream_processors.errors import PublishFailed
from jobstream_processors.ports import Outgoing, Position

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobstream_processors.ports import TopicPartition

TOPIC = "jobs"
PLACE = (TOPIC, 0)
WAIT_S = 60.0


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker()
    made.create_topic(TOPIC, 4)
    return made


def record(value: bytes, partition: int = 0) -> Outgoing:
    return Outgoing(TOPIC, b"k", value, partition)


def values(broker: MemoryBroker, partition: int = 0) -> list[bytes | None]:
    return [found.value() for found in broker.records(TOPIC, partition)]


def join(broker: MemoryBroker, group: str = "workers") -> tuple[Member, MemorySource]:
    source = MemorySource(broker, group, [TOPIC])
    member = Member(source)
    source.listen(member)
    member.turn()
    return member, source


def everything() -> set[TopicPartition]:
    return {(TOPIC, number) for number in range(4)}


def test_the_next_publishes_fail_and_every_other_one_is_in_the_log(broker: MemoryBroker) -> None:
    broker.fail_publishes(3)

    with pytest.raises(PublishFailed) as raised:
        MemorySink(broker).publish([record(b"%d" % number) for number in range(5)])

    assert set(raised.value.failures) == {0, 1, 2}
    assert values(broker) == [b"0", b"2", b"3", b"4"]


@pytest.mark.parametrize(("fate", "kept"), [("absent", []), ("appended", [b"a", b"b"])])
def test_a_test_may_choose_the_fate(broker: MemoryBroker, fate: str, kept: list[bytes]) -> None:
    broker.fail_publishes(2, fate="absent" if fate == "absent" else "appended")

    with pytest.raises(PublishFailed):
        MemorySink(broker).publish([record(b"a"), record(b"b")])

    assert values(broker) == kept


def test_chosen_records_fail_until_healed(broker: MemoryBroker) -> None:
    sink = MemorySink(broker)
    broker.fail_publishes(lambda outgoing: outgoing.value == b"bad", fate="absent")

    for _ in range(2):
        with pytest.raises(PublishFailed) as raised:
            sink.publish([record(b"good"), record(b"bad")])
        assert set(raised.value.failures) == {1}

    broker.heal()
    sink.publish([record(b"bad")])
    assert values(broker) == [b"good", b"good", b"bad"]


def test_a_slow_publish_is_in_the_log_before_it_is_acknowledged(broker: MemoryBroker) -> None:
    broker.slow_publishes(500)
    with ThreadPoolExecutor(1) as pool:
        publish = pool.submit(MemorySink(broker).publish, [record(b"v")])
        assert broker.wait_for_held(1, WAIT_S)
        assert values(broker) == [b"v"]

        broker.clock.advance(499)
        assert broker.wait_for_held(1, WAIT_S)
        assert not publish.done()

        broker.clock.advance(1)
        assert publish.result(WAIT_S) == {PLACE: 0}


def test_a_publish_too_slow_fails_though_it_is_in_the_log(broker: MemoryBroker) -> None:
    broker.slow_publishes(PUBLISH_TIMEOUT_MS + 1)
    with ThreadPoolExecutor(1) as pool:
        publish = pool.submit(MemorySink(broker).publish, [record(b"v")])
        assert broker.wait_for_held(1, WAIT_S)

        broker.clock.advance(PUBLISH_TIMEOUT_MS)
        error = publish.exception(WAIT_S)

    assert isinstance(error, PublishFailed)
    assert set(error.failures) == {0}
    assert values(broker) == [b"v"]


def test_healing_lets_slow_publishes_through(broker: MemoryBroker) -> None:
    broker.slow_publishes(PUBLISH_TIMEOUT_MS + 1)
    with ThreadPoolExecutor(1) as pool:
        publish = pool.submit(MemorySink(broker).publish, [record(b"v")])
        assert broker.wait_for_held(1, WAIT_S)

        broker.heal()

        assert publish.result(WAIT_S) == {PLACE: 0}


def test_a_rebalance_gives_each_member_the_share_of_another(broker: MemoryBroker) -> None:
    first, _ = join(broker)
    second, _ = join(broker)
    first.turn()
    second.turn()
    shares = set(first.owned), set(second.owned)

    broker.rebalance()
    for member in (first, second, first):
        member.turn()

    assert (second.owned, first.owned) == shares
    assert [heard.what for heard in second.heard] == ["assigned", "revoked", "assigned"]


def test_a_lone_member_gives_back_and_gets_back(broker: MemoryBroker) -> None:
    member, source = join(broker)
    source.start(PLACE, 0)

    broker.rebalance("workers")
    member.turn()
    MemorySink(broker).publish([record(b"v")])
    member.turn()

    assert [heard.what for heard in member.heard] == ["assigned", "revoked", "assigned"]
    assert member.owned == everything()
    assert member.records == [], "a partition that came back starts paused"


def test_a_lost_partition_goes_to_another_before_its_owner_knows(broker: MemoryBroker) -> None:
    first, source = join(broker)
    source.start(PLACE, 0)
    second, heir = join(broker)
    first.turn()
    (taken, *_) = first.owned

    broker.lose(source.member, [taken])
    second.turn()

    assert taken in first.owned & second.owned, "for a while both believe to own it"
    assert broker.owners("workers")[taken] == heir.member
    source.commit({taken: Position(1, "from a zombie")}, wait=True)
    assert broker.committed("workers", taken) == Position(1, "from a zombie")
    MemorySink(broker).publish([record(b"from a zombie")])

    first.turn()
    assert first.heard[-1] == Heard("lost", frozenset({taken}))
    assert first.records == []


def test_a_partition_lost_and_won_back_unseen_is_lost_all_the_same(broker: MemoryBroker) -> None:
    first, source = join(broker)
    second, heir = join(broker)
    first.turn()
    (taken, *_) = first.owned
    broker.lose(source.member, [taken])
    second.turn()
    broker.lose(heir.member, [taken])
    second.turn()

    first.turn()

    assert [heard.what for heard in first.heard[-2:]] == ["lost", "assigned"]
    assert taken in first.owned


def test_an_expired_member_commits_nothing_until_it_joined_anew(broker: MemoryBroker) -> None:
    first, source = join(broker)
    broker.expire(source.member)

    source.commit({PLACE: Position(5)}, wait=True)
    assert broker.committed("workers", PLACE) is None
    MemorySink(broker).publish([record(b"a zombie can publish")])

    first.turn()
    assert [heard.what for heard in first.heard] == ["assigned", "lost", "assigned"]
    source.commit({PLACE: Position(5)}, wait=True)
    assert broker.committed("workers", PLACE) == Position(5)


def test_a_killed_member_tells_nobody_and_loses_what_it_had_not_sent(
    broker: MemoryBroker,
) -> None:
    first, source = join(broker)
    source.commit({PLACE: Position(5)}, wait=False)

    source.kill()
    second, _ = join(broker)
    second.turn()
    assert second.owned == set(), "the broker believes in the dead until their session is over"

    broker.expire(source.member)
    second.turn()
    assert second.committed == dict.fromkeys(everything())
    assert [heard.what for heard in first.heard] == ["assigned"]


def test_closing_an_expired_member_tells_of_a_loss(broker: MemoryBroker) -> None:
    first, source = join(broker)
    broker.expire(source.member)

    source.close()

    assert first.heard[-1] == Heard("lost", frozenset(everything()))


def test_a_listener_may_publish_and_commit_from_inside_a_poll(broker: MemoryBroker) -> None:
    sink = MemorySink(broker)

    class Claiming(Member):
        def assigned(self, partitions: Mapping[TopicPartition, Position | None]) -> None:
            super().assigned(partitions)
            sink.publish([Outgoing(*place[:1], b"k", b"claim", place[1]) for place in partitions])

        def revoked(self, partitions: Iterable[TopicPartition]) -> None:
            self.source.commit(dict.fromkeys(partitions, Position(1, "clean")), wait=True)
            super().revoked(partitions)

    source = MemorySource(broker, "workers", [TOPIC])
    member = Claiming(source)
    source.listen(member)
    member.turn()
    source.close()

    assert [values(broker, number) for number in range(4)] == [[b"claim"]] * 4
    assert broker.committed("workers", PLACE) == Position(1, "clean")


def test_a_poll_wakes_up_for_a_record(broker: MemoryBroker) -> None:
    member, source = join(broker)
    source.start(PLACE, 0)
    with ThreadPoolExecutor(1) as pool:
        polled = pool.submit(source.poll, 10, WAIT_S)
        MemorySink(broker).publish([record(b"v")])

        assert [found.value() for found in polled.result(WAIT_S / 2)] == [b"v"]
    assert member.owned == everything()


def test_compaction_keeps_the_last_record_of_a_key_and_leaves_gaps(broker: MemoryBroker) -> None:
    broker.create_topic("table", compacted=True)
    keys = [b"a", b"b", b"a", b"c", b"b"]
    sink = MemorySink(broker)
    sink.publish([Outgoing("table", key, b"%d" % at) for at, key in enumerate(keys)])
    sink.publish([Outgoing("table", b"c", None)])

    broker.compact("table")
    assert [found.offset() for found in broker.records("table")] == [2, 4, 5]

    broker.compact("table", drop_tombstones=True)
    assert [found.offset() for found in broker.records("table")] == [2, 4]
    assert broker.span(("table", 0)) == (0, 6)


def test_only_a_compacted_topic_is_compacted(broker: MemoryBroker) -> None:
    with pytest.raises(NotCompacted, match=TOPIC):
        broker.compact(TOPIC)


def test_a_topic_made_again_has_another_id_and_no_positions(broker: MemoryBroker) -> None:
    member, source = join(broker)
    source.commit({PLACE: Position(3)}, wait=True)
    first_id = broker.topic_id(TOPIC)

    broker.delete_topic(TOPIC)
    broker.create_topic(TOPIC, 2)
    member.turn()

    assert broker.topic_id(TOPIC) != first_id
    assert member.committed[PLACE] is None
    assert member.owned == {(TOPIC, 0), (TOPIC, 1)}


def test_a_group_with_members_is_not_deleted(broker: MemoryBroker) -> None:
    _, source = join(broker)

    with pytest.raises(GroupNotEmpty, match=source.member):
        broker.delete_group("workers")


def test_what_is_not_there_is_named(broker: MemoryBroker) -> None:
    _, source = join(broker)

    with pytest.raises(NoSuchMember, match="nobody"):
        broker.expire("nobody")
    with pytest.raises(NotOwned, match="elsewhere"):
        source.start(("elsewhere", 0), 0)


def test_time_stands_still_and_never_goes_back(broker: MemoryBroker) -> None:
    clock = broker.clock
    sink = MemorySink(broker)
    sink.publish([record(b"early")])
    clock.advance(1_500)
    sink.publish([record(b"late")])

    early, late = (found.timestamp()[1] for found in broker.records(TOPIC, 0))
    assert late - early == 1_500
    with pytest.raises(ValueError, match="-1"):
        clock.advance(-1)


def test_a_member_reads_on_in_a_topic_that_was_made_anew_under_it(broker: MemoryBroker) -> None:
    sink = MemorySink(broker)
    member, source = join(broker)
    source.start(PLACE, 0)
    sink.publish([record(b"old"), record(b"old")])
    member.turn()
    source.commit({PLACE: Position(2)}, wait=True)
    first_id = broker.topic_id(TOPIC)

    broker.recreate_topic(TOPIC)
    sink.publish([record(b"skipped"), record(b"skipped"), record(b"read")])
    member.turn()

    assert member.values() == [b"old", b"old", b"read"], "as on Kafka, nobody tells it"
    assert [heard.what for heard in member.heard] == ["assigned"]
    assert broker.topic_id(TOPIC) != first_id
    assert broker.committed("workers", PLACE) is None
    source.commit({PLACE: Position(3)}, wait=True)
    assert broker.committed("workers", PLACE) == Position(3), "a stale commit counts in the new one"


def test_partitions_that_were_added_are_assigned_and_written_by_key(broker: MemoryBroker) -> None:
    member, _ = join(broker)

    broker.add_partitions(TOPIC, 6)
    member.turn()
    MemorySink(broker).publish([Outgoing(TOPIC, b"%d" % key, b"v") for key in range(100)])

    assert member.owned == everything() | {(TOPIC, 4), (TOPIC, 5)}
    assert values(broker, 4)
    assert values(broker, 5)
    with pytest.raises(ValueError, match="6 partitions"):
        broker.add_partitions(TOPIC, 6)


def test_offsets_that_were_cut_off_are_given_out_again(broker: MemoryBroker) -> None:
    sink = MemorySink(broker)
    sink.publish([record(b"%d" % number) for number in range(5)])

    broker.cut(TOPIC, 0, 2)
    sink.publish([record(b"other")])

    assert values(broker) == [b"0", b"1", b"other"]
    assert broker.span(PLACE) == (0, 3)


def test_what_is_held_back_is_neither_in_the_log_nor_answered_until_it_heals(
    broker: MemoryBroker,
) -> None:
    sink = MemorySink(broker)
    broker.hold_publishes(lambda each: each.partition == 0)

    held = sink.send([record(b"a"), record(b"b", 1)])
    rows = sink.send_rows(PLACE, [{"key": b"k", "value": b"c"}])
    assert (held.failures(0), rows.failures(0)) == (None, None)
    assert (values(broker), values(broker, 1)) == ([], [b"b"])
    assert sink.send([record(b"d", 1)]).failures(0) == {}
    # Who blocks on it is told what Kafka tells after two minutes, and it is appended all the same
    with pytest.raises(PublishFailed):
        sink.publish([record(b"e")])

    broker.heal()
    assert (held.failures(0), rows.failures(0)) == ({}, {})
    assert values(broker) == [b"a", b"c", b"e"]
