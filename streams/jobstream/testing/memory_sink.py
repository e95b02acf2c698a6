"""The `Sink` port on the broker in memory. It queues nothing: a publish ends one way or other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.errors import PublishFailed
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from jobstream.kafka.clock import BrokerClock
    from jobstream.testing.broker import MemoryBroker
    from jobstream_processors.ports import TopicPartition


class MemorySink:
    """Publishes to a `MemoryBroker`. Thread-safe; belongs to no group, so it outlives sessions.

    `clock` learns from reports, as on Kafka.
    """

    def __init__(self, broker: MemoryBroker, clock: BrokerClock | None = None) -> None:
        self._broker = broker
        self._clock = clock

    def publish(self, records: Sequence[Outgoing]) -> Mapping[TopicPartition, int]:
        """Block until acknowledged; returns the last offset per partition, raises PublishFailed."""
        if self._clock is None:
            return self._broker.publish(records)
        sent_ms = self._clock.monotonic_ms()
        ends = self._broker.publish(records)
        newest = {place: self._broker.read(place, end, end + 1, 1) for place, end in ends.items()}
        stamps = {place: found[0].timestamp()[1] for place, found in newest.items() if found}
        self._clock.reported(stamps, sent_ms)
        return ends

    def publish_soon(self, record: Outgoing, done: Callable[[bool], object]) -> None:
        """Publish at once, and tell before it returns."""
        try:
            self.publish([record])
        except PublishFailed:
            done(False)  # noqa: FBT003 - as the port has it
        else:
            done(True)  # noqa: FBT003 - likewise

    def publish_rows(
        self, rows: Mapping[TopicPartition, Sequence[dict[str, bytes]]]
    ) -> Collection[bytes]:
        """Block until every row is acknowledged or failed; returns the keys that were not."""
        records = [
            Outgoing(topic, row["key"], row["value"], partition)
            for (topic, partition), batch in rows.items()
            for row in batch
        ]
        try:
            self._broker.publish(records)
        except PublishFailed as error:
            return {records[index].key or b"" for index in error.failures}
        return ()
