"""A client that breaks for good lets those who wait for it end, and is replaced.

The client library raises that once, where its events are served; all it is given later it refuses.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from threading import Event
from typing import TYPE_CHECKING

import pytest
from tests.harness.kafka_bench import KafkaBench
from tests.harness.member import Member, turn_until

from jobstream.enqueue.acks import Waiter
from jobstream.errors import EnqueueError, SourceFailed
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.consume.source import KafkaSource
from jobstream.kafka.produce import lasting
from jobstream.kafka.produce.producer import KafkaTransport
from jobstream.kafka.produce.sink import KafkaSink
from jobstream_processors.errors import PublishFailed, PublishFailure
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka

BREAKING = {
    # What the client lets through and the broker refuses is a gap, and that ends the producer.
    "enable.gapless.guarantee": "true",
    "message.max.bytes": 2_000_000,
}
REFUSED = b"x" * 1_500_000
LIMIT_S = 180.0


@pytest.fixture
def bench(kafka: EmbeddedKafka) -> Iterator[KafkaBench]:
    """Topics on a real broker."""
    with closing(KafkaBench(kafka.bootstrap_servers)) as found:
        yield found


@pytest.fixture
def options(kafka: EmbeddedKafka) -> dict[str, object]:
    """Of a client of that broker."""
    return {"bootstrap.servers": kafka.bootstrap_servers}


def test_every_publish_under_way_ends(bench: KafkaBench, options: dict[str, object]) -> None:
    # Given a thread that publishes all the time through the producer of a sink
    topic, begun, enough = bench.topic(), Event(), Event()
    sink = KafkaSink({**options, **BREAKING}, BrokerClock())

    def publish_all_the_time() -> None:
        while not enough.is_set():
            # What was sent when the producer broke is acknowledged yet, what was not fails.
            with suppress(PublishFailed):
                sink.publish([Outgoing(topic, b"k", b"%d" % number) for number in range(2_000)])
            begun.set()

    with closing(sink), ThreadPoolExecutor(1) as pool:
        other = pool.submit(publish_all_the_time)
        assert begun.wait(LIMIT_S)

        # When another thread's record breaks that producer
        with pytest.raises(PublishFailed):
            sink.publish([Outgoing(topic, b"k", REFUSED)])

        # Then the first hears what became of its records, and the sink publishes again
        enough.set()
        other.result(LIMIT_S)
        ((_, offset),) = sink.publish([Outgoing(topic, b"k", b"after")]).items()
    assert bench.log.span((topic, 0)) == (0, offset + 1)


def test_no_row_counts_as_acknowledged(bench: KafkaBench, options: dict[str, object]) -> None:
    topic = bench.topic()

    def failed(sink: KafkaSink, rows: list[dict[str, bytes]]) -> Mapping[int, PublishFailure]:
        found = sink.send_rows((topic, 0), rows).failures(LIMIT_S)
        assert found is not None, "every row has its answer"
        return found

    with closing(KafkaSink({**options, **BREAKING}, BrokerClock())) as sink:
        assert failed(sink, [{"key": b"0", "value": b"before"}]) == {}

        rows = [{"key": b"1", "value": REFUSED}, *({"key": b"2", "value": b"v"} for _ in range(9))]
        assert set(failed(sink, rows)) == set(range(10))

        assert failed(sink, [{"key": b"3", "value": b"after"}]) == {}


def test_later_enqueues_find_a_new_producer(bench: KafkaBench, options: dict[str, object]) -> None:
    topic = bench.topic()
    with closing(KafkaTransport({**options, **BREAKING}, 20_000)) as transport:

        def enqueue(value: bytes) -> tuple[int, int]:
            waiter = Waiter()
            transport.submit(Outgoing(topic, b"k", value), waiter.done)
            return waiter.wait(time.monotonic() + LIMIT_S, LIMIT_S)

        assert enqueue(b"before") == (0, 0)
        with pytest.raises(EnqueueError, match="size"):
            enqueue(REFUSED)
        assert enqueue(b"after") == (0, 1)


def test_what_the_broker_refuses_is_certainly_not_written(
    bench: KafkaBench, options: dict[str, object]
) -> None:
    topic = bench.topic()
    generous = {**options, "message.max.bytes": BREAKING["message.max.bytes"]}
    with closing(KafkaTransport(generous, 20_000)) as transport:
        waiter = Waiter()
        transport.submit(Outgoing(topic, b"k", REFUSED), waiter.done)

        with pytest.raises(EnqueueError, match=r"refused.*size") as caught:
            waiter.wait(time.monotonic() + LIMIT_S, LIMIT_S)

    assert not caught.value.may_be_written
    assert bench.log.span((topic, 0)) == (0, 0)


def test_a_publish_larger_than_the_send_queue_waits_for_room(
    bench: KafkaBench, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(lasting.PRODUCER, "queue.buffering.max.messages", 50)
    topic = bench.topic()
    headers = [("h", b"v")]
    values = [b"%d" % number for number in range(1_000)]

    with closing(KafkaSink(options, BrokerClock())) as sink:
        sink.publish([Outgoing(topic, b"k", v, 0, headers if int(v) % 2 else None) for v in values])

    found = [record for batch in bench.log.read((topic, 0), 0, 1_000) for record in batch]
    assert [record.value() for record in found] == values
    assert [bool(record.headers()) for record in found] == [bool(int(v) % 2) for v in values]


def test_a_publish_without_any_report_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobstream.kafka.produce.sink.REPORTS_S", 0.2)
    sink = KafkaSink({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, BrokerClock())

    with pytest.raises(PublishFailed, match="no report within"):
        sink.publish([Outgoing("nowhere", b"k", b"v")])
    sink.abandon()


def test_a_member_that_another_one_fenced_says_so(
    bench: KafkaBench, options: dict[str, object]
) -> None:
    topic, group = bench.topic(), bench.group()

    def member() -> Member:
        static = {**options, "group.instance.id": "the same", "log_level": 0}
        source = KafkaSource(static, group, [topic], BrokerClock(), protocol="classic")
        made = Member(source)
        source.listen(made)
        return made

    first = member()
    turn_until([first], lambda: bool(first.owned))
    second = member()

    with pytest.raises(SourceFailed, match="fenced"):
        turn_until([second, first], lambda: False)
    first.source.close()
    second.source.close()
