"""What reading outside a group promises, on the broker in memory and on Kafka alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.harness.waiting import wait_until

from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from tests.harness.bench import Bench


def filled(bench: Bench, count: int) -> tuple[str, int]:
    """A topic of one partition whose records say their offset."""
    topic = bench.topic()
    bench.sink.publish([Outgoing(topic, b"k", b"%d" % number) for number in range(count)])
    return topic, 0


def offsets(bench: Bench, place: tuple[str, int], start: int, stop: int) -> list[int | None]:
    return [record.offset() for batch in bench.log.read(place, start, stop) for record in batch]


def test_span_of_an_empty_partition(bench: Bench) -> None:
    place = filled(bench, 0)

    assert bench.log.span(place) == (0, 0)
    assert offsets(bench, place, 0, 0) == []


def test_span_counts_what_was_appended(bench: Bench) -> None:
    assert bench.log.span(filled(bench, 3)) == (0, 3)


def test_reads_all_of_a_span(bench: Bench) -> None:
    place = filled(bench, 2_500)

    assert offsets(bench, place, *bench.log.span(place)) == list(range(2_500))


def test_reads_a_part_and_nothing_beside_it(bench: Bench) -> None:
    place = filled(bench, 20)

    assert offsets(bench, place, 5, 9) == [5, 6, 7, 8]
    assert offsets(bench, place, 19, 20) == [19]
    assert offsets(bench, place, 9, 9) == []


def test_batches_are_never_empty(bench: Bench) -> None:
    place = filled(bench, 10)

    assert all(bench.log.read(place, 0, 10))


def test_reading_twice_reads_the_same(bench: Bench) -> None:
    place = filled(bench, 10)

    assert offsets(bench, place, 0, 10) == offsets(bench, place, 0, 10)


def test_reads_every_partition_by_itself(bench: Bench) -> None:
    topic = bench.topic(2)
    bench.sink.publish([Outgoing(topic, b"k", b"%d" % number, number) for number in (0, 1)])

    for number in (0, 1):
        ((record,),) = bench.log.read((topic, number), 0, 1)
        assert record.value() == b"%d" % number


def test_a_moved_log_start_is_seen_and_read_over(bench: Bench) -> None:
    place = filled(bench, 10)

    bench.truncate(place, 4)

    assert bench.log.span(place) == (4, 10)
    assert offsets(bench, place, 4, 10) == list(range(4, 10))
    assert offsets(bench, place, 0, 10) == list(range(4, 10))


def test_a_log_emptied_by_retention_keeps_counting(bench: Bench) -> None:
    place = filled(bench, 3)

    bench.truncate(place, 3)

    assert bench.log.span(place) == (3, 3)
    assert bench.sink.publish([Outgoing(place[0], b"k", b"v")]) == {place: 3}


def test_a_topic_keeps_its_id_and_shares_it_with_no_other(bench: Bench) -> None:
    first, second = bench.topic(), bench.topic()

    assert bench.log.topic_id(first) == bench.log.topic_id(first)
    assert bench.log.topic_id(first) != bench.log.topic_id(second)
    assert bench.log.topic_id(first)


def test_an_id_is_known_once_it_was_asked_for(bench: Bench) -> None:
    topic = bench.topic()

    assert bench.log.known_id(topic) == ""
    assert bench.log.topic_id(topic) == bench.log.known_id(topic)


def test_asking_anew_asks_for_all_that_is_remembered(bench: Bench) -> None:
    first, second = bench.topic(), bench.topic()
    before = {topic: bench.log.topic_id(topic) for topic in (first, second)}

    bench.recreate(first)
    assert bench.log.topic_id(first) == before[first], "it is remembered"

    def is_known() -> bool:
        # A broker may tell of the old one for a moment.
        assert bench.log.topic_id(second, anew=True) == before[second]
        return bench.log.known_id(first) not in {"", before[first]}

    wait_until(is_known, "the new id is known", limit_s=180.0)


def test_since_finds_what_was_appended_at_a_time_or_later(bench: Bench) -> None:
    place = filled(bench, 3)
    ((first, *_),) = bench.log.read(place, 0, 3)
    at_ms = first.timestamp()[1]

    assert bench.log.since(place, at_ms) == 0
    assert bench.log.since(place, at_ms - 60_000) == 0
    assert bench.log.since(place, at_ms + 3_600_000) == 3
    assert bench.log.since((bench.topic(), 0), at_ms) == 0
