"""A second reader of a member's partitions, for as long as its client fetches nothing.

Until a rebalance callback returns, librdkafka pauses every partition of the member, the kept ones
as well, and throws away what it has fetched. A callback that lets jobs of a revoked partition end
may take as long as jobs run. So the kept ones are read meanwhile by a client that is in no group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Place

from jobstream.kafka.client.construct import made

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from confluent_kafka import Message

    from jobstream_processors.ports import TopicPartition


class Beside:
    """Reads partitions from given places on. Used by one thread, and closed by it."""

    def __init__(self, options: Mapping[str, Any], places: Mapping[TopicPartition, int]) -> None:
        # It never subscribes, so it is no member of the group that it must name.
        self._consumer = made(Consumer, options)
        self._next: dict[TopicPartition, int] = {}
        for partition, offset in places.items():
            self.start(partition, offset)

    def start(self, partition: TopicPartition, offset: int) -> None:
        """Deliver from `offset` on."""
        if partition in self._next:
            self._consumer.incremental_unassign([Place(*partition)])
        self._next[partition] = offset
        self._consumer.incremental_assign([Place(*partition, offset)])

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Deliver nothing from these of its partitions."""
        self._consumer.pause([Place(*p) for p in partitions if p in self._next])

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Deliver again from these of its partitions."""
        self._consumer.resume([Place(*p) for p in partitions if p in self._next])

    def poll(self, limit: int, timeout_s: float) -> list[Message]:
        """Up to `limit` records or errors; waits at most `timeout_s` for the first."""
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        found = [first, *self._consumer.consume(limit - 1, 0)] if limit > 1 else [first]
        for message in found:
            if message.error() is None:
                place = (message.topic() or "", message.partition() or 0)
                self._next[place] = (message.offset() or 0) + 1
        return found

    def close(self) -> Mapping[TopicPartition, int]:
        """The next offset of each partition; reads nothing more."""
        self._consumer.close()
        return self._next


def fresh(found: list[Message], ahead: dict[TopicPartition, int]) -> list[Message]:
    """What the client beside has not brought; `ahead` says where to go on, and is kept up.

    The poll inside of which it read may still bring what it has read.
    """
    kept = []
    for message in found:
        place = (message.topic() or "", message.partition() or 0)
        if message.error() is None and place in ahead:
            offset = message.offset() or 0
            if offset < ahead[place]:
                continue
            ahead[place] = offset + 1
        kept.append(message)
    return kept
