"""Who listens to ends of jobs from now on hears all that come, whatever becomes of the topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream.answers.heard_since import HeardSince
from jobstream.operate.tail import Follower
from jobstream.testing import MemoryBroker, VirtualClock
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobstream_processors.ports import Record, TopicPartition

ROWS, OTHER = "shop.mail.dedup", "shop.bills.dedup"


class Hearing:
    """Rows of a broker in memory, heard as `JobEnds` does."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(VirtualClock())
        for topic in (ROWS, OTHER):
            self.broker.create_topic(topic, 1)
        self._since = HeardSince()
        self._follower = Follower(self._read, lambda _: None)
        self._written = 0

    def write(self, count: int, topic: str = ROWS) -> list[bytes]:
        """Rows that are written now."""
        first, self._written = self._written, self._written + count
        keys = [b"job:%d" % number for number in range(first, self._written)]
        self.broker.publish([Outgoing(topic, key, b"", 0) for key in keys])
        return keys

    def heard(self) -> list[bytes]:
        """Rows that are heard by one look."""
        topics = [topic for topic in (ROWS, OTHER) if self.broker.has_topic(topic)]
        ids = {topic: self.broker.topic_id(topic) for topic in topics}
        spans = self._since.spans({(t, 0): self.broker.span((t, 0)) for t in topics}, ids)
        return [record.key() or b"" for record in self._follower.advance(spans, ids)]

    def _read(self, spans: Mapping[TopicPartition, tuple[int, int]]) -> Iterator[Record]:
        for (topic, partition), (low, high) in spans.items():
            found = self.broker.records(topic, partition)
            yield from (record for record in found if low <= record.offset() < high)


@pytest.fixture
def hearing() -> Hearing:
    """It has begun, over rows of before."""
    made = Hearing()
    made.write(500)
    assert made.heard() == []
    return made


def test_what_came_before_is_not_heard_and_what_comes_is(hearing: Hearing) -> None:
    assert hearing.heard() == []

    assert hearing.write(2) == hearing.heard()
    assert hearing.heard() == []


@pytest.mark.parametrize("rows", [0, 3, 600])
def test_a_topic_that_is_made_anew_is_heard_from_its_start(hearing: Hearing, rows: int) -> None:
    hearing.broker.recreate_topic(ROWS)

    assert hearing.write(rows) == hearing.heard()
    assert hearing.write(5) == hearing.heard()
    assert hearing.write(5, OTHER) == hearing.heard(), "others go on"


def test_so_is_one_that_was_away_for_some_looks(hearing: Hearing) -> None:
    hearing.broker.delete_topic(ROWS)
    assert hearing.heard() == []
    hearing.broker.create_topic(ROWS, 1)

    assert hearing.write(3) == hearing.heard()


def test_a_topic_that_comes_later_is_heard_from_its_start() -> None:
    late = Hearing()
    late.broker.delete_topic(OTHER)
    late.heard()
    late.broker.create_topic(OTHER, 1)

    assert late.write(3, OTHER) == late.heard()
