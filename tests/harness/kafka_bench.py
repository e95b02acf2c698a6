"""The bench on a real Kafka: the same tests, the real edges.

Topics and groups get random names, so that benches may share a broker. It starts no broker.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # documented, not in __all__
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic
from tests.harness.frozen import FrozenProcess
from tests.harness.member import Member
from tests.harness.waiting import wait_until

from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.client.client_log import client_log
from jobstream.kafka.consume.source import KafkaSource
from jobstream.kafka.follow.topic_reader import KafkaLog
from jobstream.kafka.produce.sink import KafkaSink

if TYPE_CHECKING:
    from jobstream_processors.ports import TopicPartition as Place

ANSWER_S = 60.0
SESSION_MS = 45_000
"""No member of a busy machine is taken for dead within this."""
SHORT_SESSION_MS = 3_000
"""The least that the embedded broker allows, for a member that is to be taken for dead."""


class KafkaBench:
    """The bench on the Kafka at `bootstrap_servers`."""

    def __init__(self, bootstrap_servers: str, *, protocol: str = "consumer") -> None:
        self._options: dict[str, Any] = {
            "bootstrap.servers": bootstrap_servers,
            "logger": client_log(),
            # How long a topic nobody knows may still be about to appear; 30 s by default.
            "topic.metadata.propagation.max.ms": 2_000,
        }
        self._bootstrap_servers = bootstrap_servers
        self._protocol = protocol
        self._clock = BrokerClock()
        self._admin = AdminClient(dict(self._options))
        self._members: list[Member] = []
        self.sink = KafkaSink(self._options, self._clock)
        self.log = KafkaLog(self._options)

    def topic(self, partitions: int = 1, *, compacted: bool = False) -> str:
        """A new topic; returns its name."""
        name = f"topic-{uuid.uuid4().hex}"
        config = {"cleanup.policy": "compact" if compacted else "delete"}
        topic = NewTopic(name, partitions, 1, config=config)
        self._admin.create_topics([topic])[name].result(ANSWER_S)

        def known() -> bool:
            found = self._admin.list_topics(name, timeout=ANSWER_S).topics[name]
            return not found.error and len(found.partitions) == partitions

        # A broker knows it later than the controller; clients give it two seconds.
        wait_until(known, f"{name} is known", limit_s=ANSWER_S)
        return name

    def group(self) -> str:
        """The name of a new group."""
        name = f"group-{uuid.uuid4().hex}"
        self._set_up(name, SESSION_MS)
        return name

    def _set_up(self, group: str, session_ms: int) -> None:
        settings = {
            "consumer.session.timeout.ms": str(session_ms),
            "consumer.heartbeat.interval.ms": "500",
        }
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in settings.items()
        ]
        resource = ConfigResource(ResourceType.GROUP, group, incremental_configs=entries)
        self._admin.incremental_alter_configs([resource])[resource].result(ANSWER_S)

    def member(self, group: str, topic: str) -> Member:
        """A member that joins with its first turn; closed with the bench."""
        source = KafkaSource(
            self._options,
            group,
            [topic],
            self._clock,
            protocol=self._protocol,
            session_ms=SESSION_MS,
        )
        member = Member(source)
        source.listen(member)
        self._members.append(member)
        return member

    def frozen_member(self, group: str, topic: str) -> FrozenProcess:
        """A member in a child process that owns every partition when this returns.

        The session of its group is short from now on.
        """
        self._set_up(group, SHORT_SESSION_MS)
        return FrozenProcess(self._bootstrap_servers, group, topic, self._protocol)

    def truncate(self, partition: Place, before: int) -> None:
        """End the records below offset `before`."""
        place = TopicPartition(*partition, before)
        self._admin.delete_records([place])[place].result(ANSWER_S)

    def recreate(self, topic: str) -> None:
        """Delete a topic of one partition and create it again; returns once it is there."""
        self._admin.delete_topics([topic])[topic].result(ANSWER_S)

        def created() -> bool:
            try:
                made = self._admin.create_topics([NewTopic(topic, 1, 1)])[topic]
                made.result(ANSWER_S)
            except KafkaException:
                return False  # The deletion is still under way.
            return True

        wait_until(created, f"{topic} is created again", limit_s=ANSWER_S)

    def delete_group(self, group: str) -> None:
        """Forget what the group committed; it has no members any more."""
        self._admin.delete_consumer_groups([group])[group].result(ANSWER_S)

    def close(self) -> None:
        """Close every client made here."""
        for member in self._members:
            member.source.close()
        self.sink.close()
