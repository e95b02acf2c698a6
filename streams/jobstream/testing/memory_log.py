"""The `Log` port on the broker in memory: reads topics outside any group, changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jobstream.testing.broker import MemoryBroker
    from jobstream.testing.record import MemoryRecord
    from jobstream_processors.ports import TopicPartition

# Small, so that whoever reads a few thousand records gets several batches, as from Kafka.
BATCH_MAX = 500


class MemoryLog:
    """Reads a `MemoryBroker`. Thread-safe."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def read(
        self, partition: TopicPartition, start: int, stop: int
    ) -> Iterator[Sequence[MemoryRecord]]:
        """Batches of what the log holds of [start, stop) now; ends early at the log's end."""
        position = start
        while batch := self._broker.read(partition, position, stop, BATCH_MAX):
            yield batch
            position = batch[-1].offset() + 1

    def span(self, partition: TopicPartition) -> tuple[int, int]:
        """(first offset kept, next offset to be written)."""
        return self._broker.span(partition)

    def topic_id(self, topic: str, *, anew: bool = False) -> str:  # noqa: ARG002 - always so
        """The broker's id of this incarnation of the topic."""
        return self._broker.topic_id(topic)
