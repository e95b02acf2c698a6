"""What a publish promises, on the broker in memory and on Kafka alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream_processors.core.partition import partition_for
from jobstream_processors.errors import PublishFailed
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from tests.harness.bench import Bench

    from jobstream_processors.ports import Record

LOG_APPEND_TIME = 2
LIMIT_S = 60.0


def logged(bench: Bench, topic: str, partition: int = 0) -> list[Record]:
    """Everything in the partition's log."""
    place = (topic, partition)
    return [record for batch in bench.log.read(place, *bench.log.span(place)) for record in batch]


def test_returns_the_last_offset_of_each_partition(bench: Bench) -> None:
    topic = bench.topic(2)
    records = [Outgoing(topic, b"k", b"v", partition) for partition in (0, 1, 0, 0)]

    assert bench.sink.publish(records) == {(topic, 0): 2, (topic, 1): 0}
    assert bench.sink.publish(records[:1]) == {(topic, 0): 3}


def test_publishing_nothing_is_acknowledged_at_once(bench: Bench) -> None:
    assert bench.sink.publish([]) == {}


def test_keeps_the_order_given(bench: Bench) -> None:
    topic = bench.topic()
    values = [b"%d" % number for number in range(2_000)]

    bench.sink.publish([Outgoing(topic, b"k", value) for value in values])

    assert [record.value() for record in logged(bench, topic)] == values


def test_a_key_goes_where_murmur2_says(bench: Bench) -> None:
    topic = bench.topic(7)
    keys = [b"", b"a", b"ab", b"abc", b"abcd", "größe".encode(), bytes(range(256)), b"o-1" * 50]

    places = [bench.sink.publish([Outgoing(topic, key, b"v")]) for key in keys]

    found = [next(iter(place))[1] for place in places]
    assert found == [partition_for(key, 7) for key in keys]


def test_a_record_without_a_key_goes_anywhere(bench: Bench) -> None:
    topic = bench.topic(3)

    ((place, offset),) = bench.sink.publish([Outgoing(topic, None, b"v")]).items()

    assert place in {(topic, number) for number in range(3)}
    assert offset == 0


def test_a_chosen_partition_beats_the_key(bench: Bench) -> None:
    topic = bench.topic(5)
    elsewhere = (partition_for(b"key", 5) + 1) % 5

    assert bench.sink.publish([Outgoing(topic, b"key", b"v", elsewhere)]) == {(topic, elsewhere): 0}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b"no key"),
        (b"", b"empty key"),
        (b"empty value", b""),
        (b"tombstone", None),
        (None, None),
        (b"\x00\xff", bytes(range(256))),
    ],
)
def test_keeps_bytes_exactly(bench: Bench, key: bytes | None, value: bytes | None) -> None:
    topic = bench.topic()

    bench.sink.publish([Outgoing(topic, key, value)])

    (record,) = logged(bench, topic)
    assert (record.key(), record.value()) == (key, value)
    assert (record.topic(), record.partition(), record.offset()) == (topic, 0, 0)


@pytest.mark.parametrize("headers", [None, []])
def test_headers_are_none_where_there_are_none(
    bench: Bench, headers: list[tuple[str, bytes]] | None
) -> None:
    topic = bench.topic()

    bench.sink.publish([Outgoing(topic, b"k", b"v", headers=headers)])

    (record,) = logged(bench, topic)
    assert record.headers() is None


def test_headers_keep_order_and_repeats(bench: Bench) -> None:
    topic = bench.topic()
    headers = [("b", b"1"), ("a", b""), ("b", b"\x00\xff")]

    bench.sink.publish([Outgoing(topic, b"k", b"v", headers=headers)])

    (record,) = logged(bench, topic)
    assert record.headers() == headers


def test_time_is_the_brokers(bench: Bench) -> None:
    topic = bench.topic()

    bench.sink.publish([Outgoing(topic, b"k", b"v"), Outgoing(topic, b"k", b"v")])

    first, second = (record.timestamp() for record in logged(bench, topic))
    assert first[0] == second[0] == LOG_APPEND_TIME
    assert 0 < first[1] <= second[1]


def test_a_missing_topic_fails_its_records_alone(bench: Bench) -> None:
    topic = bench.topic()
    records = [
        Outgoing(topic, b"k", b"first"),
        Outgoing("no-such-topic", b"k", b"nowhere"),
        Outgoing(topic, b"k", b"second"),
    ]

    with pytest.raises(PublishFailed) as raised:
        bench.sink.publish(records)

    assert set(raised.value.failures) == {1}
    assert not raised.value.failures[1].too_large
    assert [record.value() for record in logged(bench, topic)] == [b"first", b"second"]


def test_a_missing_partition_fails_its_record(bench: Bench) -> None:
    topic = bench.topic(2)

    with pytest.raises(PublishFailed) as raised:
        bench.sink.publish([Outgoing(topic, b"k", b"bad", 2), Outgoing(topic, b"k", b"good", 1)])

    assert set(raised.value.failures) == {0}
    assert bench.log.span((topic, 1)) == (0, 1)


@pytest.mark.parametrize("part", ["key", "value", "headers"])
def test_a_record_too_large_says_so(bench: Bench, part: str) -> None:
    topic = bench.topic()
    big = b"x" * 1_000_001
    large = {
        "key": Outgoing(topic, big, b""),
        "value": Outgoing(topic, b"k", big),
        "headers": Outgoing(topic, b"k", b"", headers=[("h", big)]),
    }[part]

    with pytest.raises(PublishFailed) as raised:
        bench.sink.publish([large, Outgoing(topic, b"k", b"small")])

    assert {index: f.too_large for index, f in raised.value.failures.items()} == {0: True}
    assert [record.value() for record in logged(bench, topic)] == [b"small"]


def test_a_compacted_topic_takes_no_record_without_a_key(bench: Bench) -> None:
    topic = bench.topic(compacted=True)

    with pytest.raises(PublishFailed) as raised:
        bench.sink.publish([Outgoing(topic, None, b"v")])

    assert set(raised.value.failures) == {0}
    assert bench.log.span((topic, 0)) == (0, 0)


def test_what_is_sent_is_answered_by_its_index(bench: Bench) -> None:
    topic = bench.topic(2)
    too_large = Outgoing(topic, b"big", b"x" * 1_100_000, 0)

    sent = bench.sink.send([Outgoing(topic, b"a", b"v", 0), too_large, Outgoing(topic, b"b", b"v")])
    rows = bench.sink.send_rows((topic, 1), [{"key": b"%d" % n, "value": b"v"} for n in range(3)])

    failures = sent.failures(LIMIT_S)
    assert failures is not None
    assert {index: failure.too_large for index, failure in failures.items()} == {1: True}
    assert sent.failures(0) == failures, "it may be asked again"
    assert rows.failures(LIMIT_S) == {}
    assert rows.failures(0) == {}
    assert [record.key() for record in logged(bench, topic, 1)][-3:] == [b"0", b"1", b"2"]


def test_a_row_that_is_not_taken_fails_by_itself(bench: Bench) -> None:
    topic = bench.topic()
    rows = [{"key": b"%d" % n, "value": b"x" * (1_100_000 if n == 1 else 1)} for n in range(3)]

    failures = bench.sink.send_rows((topic, 0), rows).failures(LIMIT_S)

    assert failures is not None
    assert list(failures) == [1]
    assert [record.key() for record in logged(bench, topic)] == [b"0", b"2"]
