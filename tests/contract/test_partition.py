"""Our murmur2 puts every key where librdkafka's `murmur2_random` puts it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer

from jobstream_processors.core.partition import murmur2, partition_for

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

ANSWER_S = 120.0
PARTITIONS = 4  # what the mock cluster gives a topic
# Values that the Java client's own tests give, as unsigned numbers.
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "signed"), JAVA.items())
def test_equals_the_java_client(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % (1 << 32)


@pytest.mark.parametrize(("key", "signed"), JAVA.items())
def test_drops_the_sign_as_the_java_client_does(key: bytes, signed: int) -> None:
    assert partition_for(key, 12) == (signed & 0x7FFFFFFF) % 12


@pytest.mark.parametrize("count", [1, 2, 3, 12, 1000])
def test_partition_is_in_range(count: int) -> None:
    found = {partition_for(b"%d" % number, count) for number in range(3_000)}

    assert found <= set(range(count))
    assert len(found) > count * 0.9, "a hash that leaves partitions empty spreads no load"


def test_equals_librdkafka() -> None:
    draw = random.Random(7)
    keys = [draw.randbytes(size) for size in range(64) for _ in range(8)]
    chosen: dict[bytes, int | None] = {}
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failed.append(error)
        chosen[message.key() or b""] = message.partition()

    # The client library brings a broker of its own, so this needs no Kafka.
    producer = Producer(
        {
            "bootstrap.servers": "mock",
            "test.mock.num.brokers": 1,
            "partitioner": "murmur2_random",
            "log_level": 3,
        }
    )
    for key in keys:
        producer.produce("keyed", b"v", key, on_delivery=delivered)
    assert producer.flush(ANSWER_S) == 0

    assert not failed
    assert chosen == {key: partition_for(key, PARTITIONS) for key in keys}
