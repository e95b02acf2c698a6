"""A partition whose fetching the client stopped by itself is delivered all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import TopicPartition as Place
from tests.harness.kafka_bench import KafkaBench
from tests.harness.member import turn_until

from jobstream.kafka.consume.source import KafkaSource
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_a_fetch_that_was_lost_begins_anew(
    kafka: EmbeddedKafka, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a member that has delivered the first of two partitions' records
    monkeypatch.setattr("jobstream.kafka.consume.source.LOOK_MS", 300)
    bench = KafkaBench(kafka.bootstrap_servers, protocol=protocol)
    topic = bench.topic(2)
    member = bench.member(bench.group(), topic)
    turn_until([member], lambda: len(member.owned) == 2)
    for partition in range(2):
        member.source.start((topic, partition), 0)
        bench.sink.publish([Outgoing(topic, b"k", b"1", partition)])
    turn_until([member], lambda: len(member.records) == 2)

    # When the client stops to fetch one of them, as if a resume of ours had been lost
    vars(member.source)["_consumer"].pause([Place(topic, 0)])
    for partition in range(2):
        bench.sink.publish([Outgoing(topic, b"k", b"2", partition)])

    # Then both are delivered, and once
    turn_until([member], lambda: len(member.records) == 4)
    assert sorted(value or b"" for value in member.values()) == [b"1", b"1", b"2", b"2"]
    bench.close()


def test_it_is_noticed_while_others_keep_the_client_busy(
    kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a member that always finds more to read, and a fetch that the client lost
    monkeypatch.setattr("jobstream.kafka.consume.source.LOOK_MS", 300)
    never = property(lambda _source: False, lambda _source, _dry: None)
    monkeypatch.setattr(KafkaSource, "_dry", never, raising=False)
    bench = KafkaBench(kafka.bootstrap_servers)
    topic = bench.topic(2)
    member = bench.member(bench.group(), topic)
    turn_until([member], lambda: len(member.owned) == 2)
    for partition in range(2):
        member.source.start((topic, partition), 0)
    vars(member.source)["_consumer"].pause([Place(topic, 0)])
    bench.sink.publish([Outgoing(topic, b"k", b"lost", 0)])

    def delivered_while_others_come() -> bool:
        bench.sink.publish([Outgoing(topic, b"k", b"other", 1)])
        return b"lost" in member.values()

    # Then its record is delivered, and once; and nothing else was started anew
    turn_until([member], delivered_while_others_come)
    assert member.values().count(b"lost") == 1
    others = [record.offset() for record in member.records if record.value() == b"other"]
    assert others == list(range(len(others)))
    bench.close()
