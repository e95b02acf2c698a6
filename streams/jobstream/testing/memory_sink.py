"""The `Sink` port on the broker in memory. The broker keeps what it holds back, no client does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.errors import PublishFailed
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobstream.kafka.client.broker_clock import BrokerClock
    from jobstream.testing.memory_broker import MemoryBroker
    from jobstream_processors.ports import Sent, Told, TopicPartition


class MemorySink:
    """Publishes to a `MemoryBroker`. Thread-safe; belongs to no group, so it outlives sessions.

    `clock` learns from reports, as on Kafka.
    """

    def __init__(self, broker: MemoryBroker, clock: BrokerClock | None = None) -> None:
        self._broker = broker
        self._clock = clock

    def publish(self, records: Sequence[Outgoing]) -> Mapping[TopicPartition, int]:
        """Block until acknowledged; returns the last offset per partition, raises PublishFailed."""
        sent_ms = self._clock.monotonic_ms() if self._clock is not None else 0
        ends = self._broker.publish(records)
        self._learn(ends, sent_ms)
        return ends

    def publish_soon(self, record: Outgoing, done: Told) -> None:
        """Publish at once, and tell before it returns."""
        try:
            self.publish([record])
        except PublishFailed as error:
            done(error.failures[0])
        else:
            done(None)

    def send(self, records: Sequence[Outgoing]) -> Sent:
        """Publish at once; only what the broker holds back has no answer when it returns."""
        sent_ms = self._clock.monotonic_ms() if self._clock is not None else 0
        sending = self._broker.send(records)
        self._learn(sending.last, sent_ms)
        return sending

    def send_rows(self, place: TopicPartition, rows: Sequence[dict[str, bytes]]) -> Sent:
        """As `send`."""
        topic, partition = place
        return self._broker.send(
            [Outgoing(topic, row["key"], row["value"], partition) for row in rows]
        )

    def _learn(self, ends: Mapping[TopicPartition, int], sent_ms: int) -> None:
        if self._clock is not None:
            newest = {at: self._broker.read(at, end, end + 1, 1) for at, end in ends.items()}
            stamps = {at: found[0].timestamp()[1] for at, found in newest.items() if found}
            self._clock.reported(stamps, sent_ms)
