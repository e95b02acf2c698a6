"""Asks the cluster what it has and carries out changes, each call with a bounded wait.

Thin: it turns answers into plain data and failures into errors of ours. What should be there is
decided in `plan.py`; nothing here deletes anything.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public, not marked as such
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from jobstream.kafka.client.admin_calls import HIDDEN, MISSING, WAIT_S, Asking
from jobstream.topics.sessions import REBALANCE_PROTOCOLS, SESSION
from jobstream.topics.topic_rules import TopicState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from confluent_kafka.admin import AdminClient

    from jobstream.settings import Settings
    from jobstream.topics.specs import TopicSpec

_LOOK_AGAIN_S = 0.05
_THERE_ALREADY = frozenset((KafkaError.TOPIC_ALREADY_EXISTS,))
_AS_MANY_ALREADY = frozenset((KafkaError.INVALID_PARTITIONS,))


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Kafka cluster: its id, and the ids of the brokers that are up."""

    id: str
    brokers: tuple[int, ...]


class Admin:
    """A Kafka cluster as its administrator sees it. Safe to use from several threads.

    Every method blocks for some ten seconds at most per request it makes, and raises
    BrokerUnavailable when nothing answered in that time, BrokerRefused when the cluster said no.
    """

    def __init__(self, settings: Settings) -> None:
        """Prepare a client; nothing is sent yet. Raises ConfigError for a bad client option."""
        self._asking = Asking(settings.client_options())

    def cluster(self) -> Cluster:
        """Which cluster this is, and which of its brokers are up."""
        found = self._asking.one(lambda client, wait: client.describe_cluster(request_timeout=wait))
        return Cluster(found.cluster_id, tuple(sorted(node.id for node in found.nodes)))

    def topics(self) -> tuple[str, ...]:
        """The names of all topics that this client may see."""
        return tuple(sorted(self._asking.topics()))

    def describe(self, topics: Iterable[str]) -> dict[str, TopicState]:
        """Partitions, copies and settings in force of each topic; missing topics are left out."""
        names = sorted(set(topics))
        if not names:
            return {}
        there = self._asking.described(names, MISSING)
        configs = self._configs(ResourceType.TOPIC, there)
        return {
            name: TopicState(
                name=name,
                partitions=len(topic.partitions),
                replication=min((len(p.replicas) for p in topic.partitions), default=0),
                configs=configs[name],
                topic_id=str(topic.topic_id),
            )
            for name, topic in there.items()
            if name in configs
        }

    def create(self, specs: Sequence[TopicSpec]) -> None:
        """Create topics and wait until they can be seen. One that exists already is left as is."""
        if not specs:
            return
        new = [
            NewTopic(
                spec.name,
                num_partitions=spec.partitions,
                replication_factor=spec.replication,
                config=dict(spec.configs),
            )
            for spec in specs
        ]
        self._asking.each(
            lambda client, wait: client.create_topics(
                new, operation_timeout=wait, request_timeout=wait
            ),
            _THERE_ALREADY,
        )
        names = {spec.name for spec in specs}
        self._wait_until("topics created", lambda: names <= self.describe(names).keys())

    def add_partitions(self, topic: str, count: int) -> bool:
        """Raise a topic's partition count to `count` and wait until that is seen.

        False if somebody else had raised it so far already.
        """
        new = [NewPartitions(topic, count)]
        attempts = 0

        def ask(client: AdminClient, wait_s: float) -> dict[str, Future[None]]:
            nonlocal attempts
            attempts += 1
            return client.create_partitions(new, operation_timeout=wait_s, request_timeout=wait_s)

        raised = self._asking.each(ask, _AS_MANY_ALREADY)

        def seen() -> bool:
            there = self.describe([topic])
            return topic in there and there[topic].partitions >= count

        self._wait_until(f"partitions of {topic} added", seen)
        # An answer may be lost: then the next attempt finds what the one before it did.
        return topic in raised or attempts > 1

    def alter_topic(self, topic: str, configs: Mapping[str, str]) -> None:
        """Set some settings of a topic and wait until they are seen; the others stay."""
        self._alter(ResourceType.TOPIC, topic, configs)

    def group_configs(self, *groups: str) -> dict[str, dict[str, str]]:
        """The settings in force of each group; empty where the broker keeps or tells none."""
        found = self._configs(ResourceType.GROUP, groups)
        return {group: found.get(group, {}) for group in groups}

    def alter_group(self, group: str, configs: Mapping[str, str]) -> None:
        """Set some settings of a consumer group, as above; it need not have members yet."""
        self._alter(ResourceType.GROUP, group, configs)

    def broker_configs(self, broker: int) -> dict[str, str]:
        """The settings in force of one broker; empty if this client may not see them."""
        return self._configs(ResourceType.BROKER, [str(broker)]).get(str(broker), {})

    def supports_consumer_protocol(self) -> bool | None:
        """Whether groups can use the consumer protocol (KIP-848); None if the cluster won't tell.

        True does not prove it where the feature `group.version` was set back to 0 by hand: then
        only joining a group shows it.
        """
        protocols = self.broker_configs(self.cluster().brokers[0]).get(REBALANCE_PROTOCOLS)
        if protocols is not None:
            return "consumer" in (word.strip().lower() for word in protocols.split(","))
        return True if SESSION in self.group_configs("jobstream")["jobstream"] else None

    def _configs(self, kind: ResourceType, names: Iterable[str]) -> dict[str, dict[str, str]]:
        return self._asking.configs(kind, names, HIDDEN)

    def _alter(self, kind: ResourceType, name: str, configs: Mapping[str, str]) -> None:
        if not configs:
            return
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in configs.items()
        ]
        resource = ConfigResource(kind, name, incremental_configs=entries)
        self._asking.each(
            lambda client, wait: client.incremental_alter_configs([resource], request_timeout=wait)
        )
        self._wait_until(
            f"settings of {name} altered",
            lambda: configs.items() <= self._configs(kind, [name])[name].items(),
        )

    def _wait_until(self, what: str, seen: Callable[[], bool]) -> None:
        # A broker answers from its own copy of the metadata, which follows the controller's.
        deadline = time.monotonic() + WAIT_S
        while not seen():
            if time.monotonic() > deadline:
                raise self._asking.unseen(what)
            threading.Event().wait(_LOOK_AGAIN_S)
