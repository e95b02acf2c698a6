"""Asks a cluster about topics, offsets and groups, many at a time, each call with a bounded wait.

It turns the client library's answers into plain data and its failures into errors of ours. It
writes nothing but what `commit` is given.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public, not marked as such
    OffsetSpec,
    ResourceType,
)

from jobstream.errors import BrokerRefused
from jobstream.kafka.client.admin_calls import HIDDEN, MISSING, Asking
from jobstream.kafka.client.construct import made
from jobstream_processors.ports import Position

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from confluent_kafka.admin import (  # type: ignore[attr-defined] # as above
        ConsumerGroupDescription,
    )

    from jobstream_processors.ports import TopicPartition as Place

_NO_GROUP = frozenset((KafkaError.GROUP_ID_NOT_FOUND,))
_GONE = MISSING | {
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - the library's names
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
}
_NOT_SEEN = HIDDEN | {KafkaError.TOPIC_AUTHORIZATION_FAILED}
_EARLIEST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]


class Member(NamedTuple):
    """One member of a consumer group, and how many partitions it has."""

    name: str
    partitions: int


class ClusterReader:
    """A Kafka cluster as an onlooker sees it. Safe to use from several threads.

    Every method blocks for at most about ten seconds; raises BrokerUnavailable when nothing
    answered in that time, BrokerRefused when the cluster said no.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Prepare a client; nothing is sent yet. Raises ConfigError for a bad client option."""
        self._asking = Asking(options)

    def topics(self) -> dict[str, int]:
        """Partition counts of all topics that this client may see."""
        return {name: len(topic.partitions) for name, topic in self._asking.topics().items()}

    def topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        """The ids of these incarnations of existing topics."""
        return self._ids(topics)

    def spans(self, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
        """(first offset kept, next offset to be written) of each partition."""
        return self._spans(places)

    def ids_there(self, topics: Iterable[str]) -> dict[str, str]:
        """The same as `topic_ids`, without the topics that do not exist."""
        return self._ids(topics, MISSING)

    def spans_there(self, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
        """The same as `spans`, without the partitions that do not exist."""
        return self._spans(places, _GONE)

    def at_time(self, places: Iterable[Place], epoch_ms: int) -> dict[Place, int]:
        """The offset of the first record appended at `epoch_ms` or later; the end if none was."""
        wanted = list(places)
        found = self._offsets(wanted, OffsetSpec.for_timestamp(epoch_ms))
        late = [place for place, offset in found.items() if offset < 0]
        return found | self._offsets(late, _LATEST)

    def committed(self, group: str, places: Iterable[Place]) -> dict[Place, Position]:
        """The group's committed offsets with their notes; partitions without one are left out."""
        asked = [TopicPartition(*place) for place in places]
        if not asked:
            return {}
        # Not the administrator's call for it: confluent-kafka 2.16.1 crashes there while the
        # group's coordinator is still loading. This one joins no group.
        own = {"group.id": group, "enable.auto.commit": False}
        with closing(made(Consumer, {**self._asking.options, **own})) as consumer:
            found = self._asking.repeat(lambda _, wait: consumer.committed(asked, wait))
        return {
            (each.topic, each.partition): Position(each.offset, each.metadata or "")
            for each in found
            if each.offset >= 0
        }

    def memberships(self, groups: Iterable[str]) -> dict[str, list[Member]]:
        """The members of each group; none of a group that is not there.

        Ask `committed` first, so that the groups' coordinators are there to answer.
        """
        names = list(groups)
        if not names:
            return {}
        found = self._asking.each(
            lambda client, wait: client.describe_consumer_groups(names, request_timeout=wait),
            _NO_GROUP,
        )
        return {name: _members(found[name]) if name in found else [] for name in names}

    def members(self, group: str) -> list[str]:
        """The client ids of the group's members; none of a group that is not there.

        Ask `committed` first, so that the group's coordinator is there to answer.
        """
        return [member.name for member in self.memberships([group])[group]]

    def retention_ms(self, topics: Iterable[str]) -> dict[str, int]:
        """How long each topic keeps records; -1 is for ever. Unanswered topics are left out."""
        found = self._asking.configs(ResourceType.TOPIC, sorted(set(topics)), _NOT_SEEN)
        return {name: int(configs["retention.ms"]) for name, configs in found.items()}

    def commit(self, group: str, positions: Mapping[Place, Position]) -> None:
        """Commit for a group without members; raises BrokerRefused if it has some."""
        moved = [
            TopicPartition(topic, number, position.offset, position.note)
            for (topic, number), position in positions.items()
        ]
        request = [ConsumerGroupTopicPartitions(group, moved)]
        done = self._asking.each(
            lambda client, wait: client.alter_consumer_group_offsets(request, request_timeout=wait)
        )
        for each in done[group].topic_partitions:
            if each.error is not None:
                message = f"{each.topic} [{each.partition}]: {each.error.str()}"
                raise BrokerRefused(message)

    def _ids(self, topics: Iterable[str], accepted: frozenset[int] = frozenset()) -> dict[str, str]:
        names = set(topics)
        found = self._asking.described(names, accepted) if names else {}
        return {name: str(topic.topic_id) for name, topic in found.items()}

    def _spans(
        self, places: Iterable[Place], accepted: frozenset[int] = frozenset()
    ) -> dict[Place, tuple[int, int]]:
        low = self._offsets(list(places), _EARLIEST, accepted)
        high = self._offsets(list(low), _LATEST, accepted)
        return {place: (low[place], end) for place, end in high.items()}

    def _offsets(
        self, places: list[Place], spec: OffsetSpec, accepted: frozenset[int] = frozenset()
    ) -> dict[Place, int]:
        if not places:
            return {}
        asked = {TopicPartition(*place): spec for place in places}
        found = self._asking.each(
            lambda client, wait: client.list_offsets(asked, request_timeout=wait), accepted
        )
        return {(place.topic, place.partition): told.offset for place, told in found.items()}


def _members(group: ConsumerGroupDescription) -> list[Member]:
    return [
        Member(
            name=f"{member.client_id}@{member.host}",
            # There is none while the group has not settled, whatever the library's types say.
            partitions=len(getattr(member.assignment, "topic_partitions", ())),
        )
        for member in group.members
    ]
