"""The `Sink` port on the broker in memory. It queues nothing: a publish ends one way or other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobstream.testing.broker import MemoryBroker
    from jobstream_processors.ports import Outgoing, TopicPartition


class MemorySink:
    """Publishes to a `MemoryBroker`. Thread-safe; belongs to no group, so it outlives sessions."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def publish(self, records: Sequence[Outgoing]) -> Mapping[TopicPartition, int]:
        """Block until acknowledged; returns the last offset per partition, raises PublishFailed."""
        return self._broker.publish(records)
