"""How far a consumer group is behind, asked of the broker alone: what a test waits for at the end.

It joins no group, reads no record and believes no worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient

from jobstream.operate.cluster import ClusterReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobstream_processors.ports import TopicPartition as Place

_WAIT_S = 60.0


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
    """Asks one cluster. Each call blocks for a few answers, at most some 60 s."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = dict(options)
        self._cluster = ClusterReader(self._options)

    def standings(self, group: str, places: Iterable[Place]) -> dict[Place, Standing]:
        """Where the group stands in each partition; raises BrokerUnavailable, BrokerRefused."""
        asked = list(places)
        committed = self._cluster.committed(group, asked)
        return {
            place: Standing(committed[place].offset if place in committed else -1, end)
            for place, (_, end) in self._cluster.spans(asked).items()
        }

    def reconnect(self) -> None:
        """Forget what the client knows: it keeps the epoch of a leader that is gone, for ever."""
        self._cluster = ClusterReader(self._options)

    def delete_group(self, group: str) -> None:
        """Let the group and its offsets be forgotten; it must have no members."""
        admin = self._admin()
        admin.delete_consumer_groups([group], request_timeout=_WAIT_S)[group].result(_WAIT_S)

    def delete_records(self, places: Iterable[Place]) -> None:
        """Delete everything in these partitions, whatever their policy. Raises KafkaException."""
        ends = [TopicPartition(topic, partition, OFFSET_END) for topic, partition in places]
        admin = self._admin()
        for future in admin.delete_records(ends, request_timeout=_WAIT_S).values():
            future.result(_WAIT_S)

    def _admin(self) -> AdminClient:
        """A client, to be kept until it has answered: without it no answer ever comes."""
        return AdminClient(self._options)
