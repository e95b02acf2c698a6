"""The sample: bounded, spread, exact where all is read; the estimate sums to what waits."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from jobstream.operate.backlog import SAMPLE_MAX, SPOTS, Backlog, estimate, rounds
from jobstream.testing.memory_record import MemoryRecord
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobstream_processors.ports import Record, TopicPartition

    Spans = Mapping[TopicPartition, tuple[int, int]]


def offsets(found: list[dict[TopicPartition, tuple[int, int]]]) -> Counter[TopicPartition]:
    read: Counter[TopicPartition] = Counter()
    for spans in found:
        for place, (start, stop) in spans.items():
            assert start < stop
            read[place] += stop - start
    return read


@pytest.mark.parametrize("partitions", [1, 2, 7, 12, 100, 499, 500, 501, 1_000])
@pytest.mark.parametrize("waiting", [1, 3, 41, 1_000, 1_000_000])
def test_the_sample_is_bounded_and_inside_the_backlog(partitions: int, waiting: int) -> None:
    backlog = {("q", n): (10, 10 + waiting) for n in range(partitions)}

    found = rounds(backlog, turn=3)

    assert 0 < offsets(found).total() <= SAMPLE_MAX
    for spans in found:
        assert all(10 <= start < stop <= 10 + waiting for start, stop in spans.values())


def test_a_small_backlog_is_read_whole_and_once() -> None:
    backlog = {("q", 0): (5, 15), ("q", 1): (0, 100)}

    assert rounds(backlog, 0) == [backlog]


def test_a_long_backlog_is_read_in_all_its_parts() -> None:
    found = rounds({("q", 0): (0, 100_000)}, 0)

    starts = [spans["q", 0][0] for spans in found]
    assert len(starts) == SPOTS
    assert [start // 20_000 for start in starts] == [0, 1, 2, 3, 4]


def test_with_too_many_partitions_each_has_its_turn() -> None:
    backlog = {("q", n): (0, 10) for n in range(1_000)}

    first, second = (offsets(rounds(backlog, turn)) for turn in (0, 1))

    assert first.keys() | second.keys() == backlog.keys()


def test_the_estimate_weighs_partitions_by_what_waits_there() -> None:
    backlog = {("q", 0): (0, 900), ("q", 1): (0, 100)}
    sample = {("q", 0): Counter(mail=10), ("q", 1): Counter(mail=5, bill=5)}

    found = estimate(dict.fromkeys(backlog, "mail"), backlog, sample, "_unknown")

    assert found == {("mail", "mail"): 950.0, ("mail", "bill"): 50.0}


def test_partitions_not_sampled_are_like_the_others_of_their_queue() -> None:
    backlog = {("q", 0): (0, 100), ("q", 1): (0, 300), ("other", 0): (0, 7)}
    queues = {("q", 0): "mail", ("q", 1): "mail", ("other", 0): "bills"}

    found = estimate(queues, backlog, {("q", 0): Counter(send=1, bill=3)}, "_unknown")

    assert found == {
        ("mail", "send"): 100.0,
        ("mail", "bill"): 300.0,
        ("bills", "_unknown"): 7.0,
    }


def test_nothing_is_read_while_nothing_moves() -> None:
    read: list[Spans] = []

    def log(spans: Spans) -> Iterator[Record]:
        read.append(spans)
        for (topic, partition), (start, stop) in spans.items():
            for at in range(start, stop):
                out = Outgoing(topic, None, b"bill" if at % 2 else b"", partition)
                yield MemoryRecord(out, (partition, at), 0, 0)

    backlog = Backlog(log, lambda record: (record.value() or b"").decode(), "_unknown")
    waiting = {("q", 0): (0, 4)}
    first = backlog.look({("q", 0): "mail"}, waiting)
    again = backlog.look({("q", 0): "mail"}, dict(waiting))
    gone = backlog.look({("q", 0): "mail"}, {})

    assert first == again == {("mail", "bill"): 2.0, ("mail", "_unknown"): 2.0}
    assert gone == {}
    assert read == [waiting]
