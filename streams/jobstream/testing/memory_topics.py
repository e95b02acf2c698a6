"""The topics of the broker in memory and what may be written to them. Plain data, no lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobstream.testing.errors import NoSuchPartition, NoSuchTopic, NotCompacted, TopicExists
from jobstream.testing.partition_log import PartitionLog
from jobstream_processors.core.partition import partition_for
from jobstream_processors.errors import PublishFailure

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.ports import Outgoing, TopicPartition


@dataclass(slots=True)
class Topic:
    """One incarnation of a topic: created again under its old name, it has another id."""

    id: str
    compacted: bool
    partitions: list[PartitionLog]
    keyless: int = field(default=0)
    """Records without a key so far; they go round the partitions."""


class Logs:
    """Every topic by name. Nothing is created by writing or reading."""

    def __init__(self, record_bytes_max: int) -> None:
        self._record_bytes_max = record_bytes_max
        self._topics: dict[str, Topic] = {}
        self._created = 0
        self._appended = 0

    def counts(self) -> dict[str, int]:
        """Topic → partition count."""
        return {name: len(topic.partitions) for name, topic in self._topics.items()}

    def all_partitions(self) -> list[TopicPartition]:
        """Every partition of every topic."""
        return [(name, number) for name, count in self.counts().items() for number in range(count)]

    def create(self, name: str, partitions: int, *, compacted: bool) -> None:
        """Create a topic; raises TopicExists, ValueError."""
        if name in self._topics:
            message = f"topic {name!r} exists; delete it first"
            raise TopicExists(message)
        if partitions < 1:
            message = f"topic {name!r} with {partitions} partitions: give 1 or more"
            raise ValueError(message)
        self._created += 1
        logs = [PartitionLog(number) for number in range(partitions)]
        self._topics[name] = Topic(f"memory-topic-{self._created}", compacted, logs)

    def delete(self, name: str) -> None:
        """Delete a topic with its records; raises NoSuchTopic."""
        self.topic(name)
        del self._topics[name]

    def recreate(self, name: str, partitions: int | None) -> None:
        """Replace a topic by an empty one of another id; raises NoSuchTopic, ValueError."""
        old = self.topic(name)
        self.delete(name)
        count = len(old.partitions) if partitions is None else partitions
        self.create(name, count, compacted=old.compacted)

    def grow(self, name: str, partitions: int) -> None:
        """Raise a topic's partition count; raises NoSuchTopic, ValueError."""
        logs = self.topic(name).partitions
        if partitions <= len(logs):
            message = f"topic {name!r} has {len(logs)} partitions; it can't be given {partitions}"
            raise ValueError(message)
        logs += [PartitionLog(number) for number in range(len(logs), partitions)]

    def has(self, name: str) -> bool:
        """Whether there is such a topic."""
        return name in self._topics

    def topic(self, name: str) -> Topic:
        """The topic; raises NoSuchTopic."""
        topic = self._topics.get(name)
        if topic is None:
            message = f"no topic {name!r}; create it first, there is no auto-creation"
            raise NoSuchTopic(message)
        return topic

    def partition(self, partition: TopicPartition) -> PartitionLog:
        """The log of a partition; raises NoSuchTopic, NoSuchPartition."""
        name, number = partition
        logs = self.topic(name).partitions
        if not 0 <= number < len(logs):
            message = f"topic {name!r} has partitions 0 to {len(logs) - 1}, not {number}"
            raise NoSuchPartition(message)
        return logs[number]

    def find(self, partition: TopicPartition) -> PartitionLog | None:
        """The log of a partition, None if there is none."""
        topic, number = self._topics.get(partition[0]), partition[1]
        if topic is None or not 0 <= number < len(topic.partitions):
            return None
        return topic.partitions[number]

    def compact(self, name: str, *, drop_tombstones: bool) -> None:
        """Compact every partition to its last record per key; raises NoSuchTopic, NotCompacted."""
        topic = self.topic(name)
        if not topic.compacted:
            message = f"topic {name!r} is not compacted; create it with compacted=True"
            raise NotCompacted(message)
        for log in topic.partitions:
            log.compact()
            if drop_tombstones:
                log.drop_tombstones()

    def refusal(self, record: Outgoing) -> PublishFailure | None:
        """Why the broker would never take the record, None if it would."""
        size = _bytes_of(record)
        if size > self._record_bytes_max:
            message = f"{size} bytes for {record.topic!r}; at most {self._record_bytes_max}"
            return PublishFailure(message, too_large=True)
        topic = self._topics.get(record.topic)
        if topic is None:
            return PublishFailure(f"unknown topic {record.topic!r}")
        count = len(topic.partitions)
        if not -1 <= record.partition < count:
            return PublishFailure(f"unknown partition {record.partition} of {record.topic!r}")
        if topic.compacted and record.key is None:
            return PublishFailure(f"compacted topic {record.topic!r} takes no record without a key")
        return None

    def append(
        self, record: Outgoing, stamp_ms: Callable[[TopicPartition], int]
    ) -> tuple[TopicPartition, int]:
        """Append a record that is not refused; returns its partition and offset."""
        topic = self._topics[record.topic]
        number = record.partition
        if number == -1:
            number = _partition_of(record.key, topic)
        self._appended += 1
        log = topic.partitions[number]
        place = (record.topic, number)
        return place, log.append(record, stamp_ms(place), self._appended)


def _partition_of(key: bytes | None, topic: Topic) -> int:
    if key is not None:
        return partition_for(key, len(topic.partitions))
    topic.keyless += 1
    return topic.keyless % len(topic.partitions)


def _bytes_of(record: Outgoing) -> int:
    headers = record.headers or ()
    size = sum(len(name.encode()) + len(value or b"") for name, value in headers)
    return size + len(record.key or b"") + len(record.value or b"")
