"""The `Log` port on the broker in memory: reads topics outside any group, changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jobstream.testing.memory_broker import MemoryBroker
    from jobstream.testing.memory_record import MemoryRecord
    from jobstream_processors.ports import TopicPartition

# Small, so that a reader of a few thousand records gets several batches, as from Kafka.
BATCH_MAX = 500


class MemoryLog:
    """Reads a `MemoryBroker`. Thread-safe."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._ids: dict[str, str] = {}

    def read(
        self, partition: TopicPartition, start: int, stop: int
    ) -> Iterator[Sequence[MemoryRecord]]:
        """Batches of what the log holds of [start, stop) now; ends early at the log's end."""
        position = start
        while position < stop:
            batch = self._broker.read(partition, position, stop, BATCH_MAX)
            if not batch:
                return
            yield batch
            position = batch[-1].offset() + 1

    def span(self, partition: TopicPartition) -> tuple[int, int]:
        """(first offset kept, next offset to be written)."""
        return self._broker.span(partition)

    def topic_id(self, topic: str, *, anew: bool = False) -> str:
        """The broker's id of this incarnation of the topic; remembered, as from Kafka."""
        if anew:
            names = {*self._ids, topic}
            self._ids |= {n: self._broker.topic_id(n) for n in names if self._broker.has_topic(n)}
        if topic not in self._ids or not self._broker.has_topic(topic):
            self._ids[topic] = self._broker.topic_id(topic)
        return self._ids[topic]

    def known_id(self, topic: str) -> str:
        """The id as it was asked for last."""
        return self._ids.get(topic, "")

    def since(self, partition: TopicPartition, at_ms: int) -> int:
        """The first offset appended at `at_ms` or later."""
        low, high = self._broker.span(partition)
        found = self._broker.read(partition, low, high, high - low)
        return next((r.offset() for r in found if r.timestamp()[1] >= at_ms), high)
