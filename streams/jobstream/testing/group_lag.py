"""How far a consumer group is behind, asked of the broker alone: what a test waits for at the end.

It joins no group, reads no record and believes no worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from confluent_kafka import OFFSET_END, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public, not marked as such
    AdminClient,
    OffsetSpec,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobstream_processors.ports import TopicPartition as Place

_WAIT_S = 30.0


class Standing(NamedTuple):
    """Where a group stands in one partition."""

    committed: int
    """Next offset to be read by the group; -1 if it never committed one."""
    end: int
    """Next offset to be written."""

    @property
    def lag(self) -> int:
        """Records not finished yet."""
        return self.end - max(0, self.committed)


class GroupLag:
    """Asks one cluster. Each call blocks for a few answers, at most some 30 s."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = dict(options)
        self._admin = AdminClient(self._options)

    def standings(self, group: str, places: Iterable[Place]) -> dict[Place, Standing]:
        """Where the group stands in each partition. Raises KafkaException."""
        asked = [TopicPartition(topic, partition) for topic, partition in places]
        request = ConsumerGroupTopicPartitions(group, asked)
        answers = self._admin.list_consumer_group_offsets([request], request_timeout=_WAIT_S)
        committed = {
            (found.topic, found.partition): max(-1, found.offset)
            for found in answers[group].result().topic_partitions
        }
        newest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        ends = self._admin.list_offsets(dict.fromkeys(asked, newest), request_timeout=_WAIT_S)
        return {
            (place.topic, place.partition): Standing(
                committed.get((place.topic, place.partition), -1), future.result().offset
            )
            for place, future in ends.items()
        }

    def reconnect(self) -> None:
        """Forget what the client knows: it keeps the epoch of a leader that is gone, for ever."""
        self._admin = AdminClient(self._options)

    def delete_group(self, group: str) -> None:
        """Let the group and its offsets be forgotten; it must have no members."""
        self._admin.delete_consumer_groups([group], request_timeout=_WAIT_S)[group].result()

    def delete_records(self, places: Iterable[Place]) -> None:
        """Delete everything in these partitions, whatever their policy. Raises KafkaException."""
        ends = [TopicPartition(topic, partition, OFFSET_END) for topic, partition in places]
        for future in self._admin.delete_records(ends, request_timeout=_WAIT_S).values():
            future.result()
