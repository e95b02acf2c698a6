"""Asks a cluster about topics, offsets and groups, many at a time, each call with a bounded wait.

It turns the client library's answers into plain data and its failures into errors of ours. It
writes nothing but what `commit` is given.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public, not marked as such
    AdminClient,
    ConfigResource,
    OffsetSpec,
    ResourceType,
)

from jobstream.errors import BrokerRefused
from jobstream.kafka.client.admin_calls import Trouble
from jobstream_processors.ports import Position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Future

    from jobstream_processors.ports import TopicPartition as Place

WAIT_S = 10.0
_GRACE_S = 2.0
_ONLY_CRITICAL = 2
_ASK_AGAIN_S = 0.1
_COORDINATOR_NOT_READY = frozenset(
    (
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
    )
)
_T = TypeVar("_T")
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
        """Prepare a client; nothing is sent yet."""
        # It would write a line for each of twenty attempts a second; the error has the reason.
        self._options = {"log_level": _ONLY_CRITICAL, **options}
        self._trouble = Trouble(options)
        asking: dict[str, Any] = {**self._options, "error_cb": self._trouble.note}
        self._client = AdminClient(asking)

    def topics(self) -> dict[str, int]:
        """Partition counts of all topics that this client may see."""
        found = self._call(lambda: self._client.list_topics(timeout=WAIT_S))
        return {name: len(topic.partitions) for name, topic in found.topics.items()}

    def topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        """The ids of these incarnations of existing topics."""
        names = sorted(set(topics))
        if not names:
            return {}
        asked = self._client.describe_topics(TopicCollection(names), request_timeout=WAIT_S)
        return {name: str(self._answer(future).topic_id) for name, future in asked.items()}

    def spans(self, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
        """(first offset kept, next offset to be written) of each partition."""
        wanted = list(places)
        low = self._offsets(wanted, _EARLIEST)
        high = self._offsets(wanted, _LATEST)
        return {place: (low[place], high[place]) for place in wanted}

    def at_time(self, places: Iterable[Place], epoch_ms: int) -> dict[Place, int]:
        """The offset of the first record appended at `epoch_ms` or later; the end if none was."""
        wanted = list(places)
        found = self._offsets(wanted, OffsetSpec.for_timestamp(epoch_ms))
        late = [place for place, offset in found.items() if offset < 0]
        return found | self._offsets(late, _LATEST)

    def committed(self, group: str, places: Iterable[Place]) -> dict[Place, Position]:
        """What the group committed, with the note beside it; partitions without are left out."""
        asked = [TopicPartition(*place) for place in places]
        if not asked:
            return {}
        # Not the administrator's call for it: confluent-kafka 2.16.1 crashes there while the
        # group's coordinator is still loading. This one joins no group.
        consumer = Consumer({**self._options, "group.id": group, "enable.auto.commit": False})
        try:
            found = self._call(lambda: _patiently(lambda: consumer.committed(asked, WAIT_S)))
        finally:
            consumer.close()
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
        asked = self._client.describe_consumer_groups(names, request_timeout=WAIT_S)
        return {name: self._members(future) for name, future in asked.items()}

    def members(self, group: str) -> list[str]:
        """The client ids of the group's members; empty if there is no such group. Likewise."""
        return [member.name for member in self.memberships([group])[group]]

    def retention_ms(self, topics: Iterable[str]) -> dict[str, int]:
        """How long each topic keeps records; -1 is for ever. Topics not told about are left out."""
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in sorted(set(topics))]
        if not resources:
            return {}
        asked = self._client.describe_configs(resources, request_timeout=WAIT_S)
        told = {}
        for resource, future in asked.items():
            try:
                told[resource.name] = int(self._answer(future)["retention.ms"].value)
            except BrokerRefused:
                continue
        return told

    def commit(self, group: str, positions: Mapping[Place, Position]) -> None:
        """Commit for a group without members; raises BrokerRefused if it has some."""
        moved = [
            TopicPartition(topic, number, position.offset, position.note)
            for (topic, number), position in positions.items()
        ]
        request = [ConsumerGroupTopicPartitions(group, moved)]
        futures = self._client.alter_consumer_group_offsets(request, request_timeout=WAIT_S)
        for each in self._answer(futures[group]).topic_partitions:
            if each.error is not None:
                message = f"{each.topic} [{each.partition}]: {each.error.str()}"
                raise BrokerRefused(message)

    def _members(self, future: Future[Any]) -> list[Member]:
        try:
            found = future.result(timeout=WAIT_S + _GRACE_S)
        except (KafkaException, TimeoutError) as error:
            if _code(error) == KafkaError.GROUP_ID_NOT_FOUND:
                return []
            raise self._trouble.told(self._client, error, WAIT_S) from error
        return [
            Member(
                name=f"{member.client_id}@{member.host}",
                partitions=len(member.assignment.topic_partitions) if member.assignment else 0,
            )
            for member in found.members
        ]

    def _offsets(self, places: list[Place], spec: OffsetSpec) -> dict[Place, int]:
        if not places:
            return {}
        asked = self._client.list_offsets(
            {TopicPartition(*place): spec for place in places}, request_timeout=WAIT_S
        )
        return {
            (place.topic, place.partition): self._answer(future).offset
            for place, future in asked.items()
        }

    def _answer(self, future: Future[_T]) -> _T:
        return self._call(lambda: future.result(timeout=WAIT_S + _GRACE_S))

    def _call(self, ask: Callable[[], _T]) -> _T:
        try:
            return ask()
        except (KafkaException, TimeoutError) as error:
            raise self._trouble.told(self._client, error, WAIT_S) from error


def _code(error: Exception) -> int | None:
    """The Kafka error code; None where nobody answered."""
    return error.args[0].code() if isinstance(error, KafkaException) else None


def _patiently(ask: Callable[[], _T]) -> _T:
    """The answer, asked for again while the group's coordinator is moving or loading."""
    deadline, pause = time.monotonic() + WAIT_S, threading.Event()
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in _COORDINATOR_NOT_READY or time.monotonic() > deadline:
                raise
            pause.wait(_ASK_AGAIN_S)
