"""Asks the cluster what it has and carries out changes, each call with a bounded wait.

Thin: it turns answers into plain data and failures into errors of ours. What should be there is
decided in `plan.py`; nothing here deletes anything.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public, not marked as such
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from jobstream.errors import BrokerRefused, BrokerUnavailable, ConfigError, JobstreamError
from jobstream.kafka.groups import REBALANCE_PROTOCOLS, SESSION
from jobstream.kafka.topic_rules import TopicState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from jobstream.kafka.specs import TopicSpec
    from jobstream.settings import Settings

WAIT_S = 10.0
"""How long any one call waits for the cluster."""
_GRACE_S = 2.0
_LOOK_AGAIN_S = 0.05
_ONLY_CRITICAL = 2
_MISSING = frozenset((KafkaError.UNKNOWN_TOPIC_OR_PART,))
_THERE_ALREADY = frozenset((KafkaError.TOPIC_ALREADY_EXISTS,))
_NOT_TOLD = frozenset(
    (
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.INVALID_REQUEST,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001 - the library's own name
    )
)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Kafka cluster: its id, and the ids of the brokers that are up."""

    id: str
    brokers: tuple[int, ...]


class Admin:
    """A Kafka cluster as its administrator sees it. Safe to use from several threads.

    Every method blocks for at most about ten seconds, and raises BrokerUnavailable when nothing
    answered in that time, BrokerRefused when the cluster said no.
    """

    def __init__(self, settings: Settings) -> None:
        """Prepare a client; nothing is sent yet. Raises ConfigError for a bad client option."""
        self._bootstrap = settings.bootstrap_servers
        self._last_trouble = ""
        options: dict[str, Any] = {**settings.client_options(), "error_cb": self._note}
        if not {"debug", "log_level"} & options.keys():
            # It would write a line for each of twenty attempts a second; the error has the reason.
            options["log_level"] = _ONLY_CRITICAL
        try:
            self._client = AdminClient(options)
        except KafkaException as error:
            message = f"the Kafka client refuses its options: {error.args[0].str()}"
            raise ConfigError(message) from error

    def cluster(self) -> Cluster:
        """Which cluster this is, and which of its brokers are up."""
        found = self._answer(self._client.describe_cluster(request_timeout=WAIT_S))
        return Cluster(found.cluster_id, tuple(sorted(node.id for node in found.nodes)))

    def topics(self) -> tuple[str, ...]:
        """The names of all topics that this client may see."""
        listing = self._call(lambda: self._client.list_topics(timeout=WAIT_S))
        return tuple(sorted(listing.topics))

    def describe(self, topics: Iterable[str]) -> dict[str, TopicState]:
        """Partitions, copies and settings in force of each topic; missing topics are left out."""
        names = sorted(set(topics))
        if not names:
            return {}
        asked = self._client.describe_topics(TopicCollection(names), request_timeout=WAIT_S)
        found = {name: self._unless(_MISSING, future) for name, future in asked.items()}
        there = {name: topic for name, topic in found.items() if topic is not None}
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
        asked = self._client.create_topics(new, operation_timeout=WAIT_S, request_timeout=WAIT_S)
        for future in asked.values():
            self._unless(_THERE_ALREADY, future)
        names = {spec.name for spec in specs}
        self._wait_until("topics created", lambda: names <= self.describe(names).keys())

    def alter_topic(self, topic: str, configs: Mapping[str, str]) -> None:
        """Set some settings of a topic and wait until they are seen; the others stay."""
        self._alter(ResourceType.TOPIC, topic, configs)

    def group_configs(self, group: str) -> dict[str, str]:
        """The settings in force of a consumer group; empty where the broker keeps or tells none."""
        return self._configs(ResourceType.GROUP, [group]).get(group, {})

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
        return True if SESSION in self.group_configs("jobstream") else None

    def _configs(self, kind: ResourceType, names: Iterable[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(kind, name) for name in names]
        if not resources:
            return {}
        asked = self._client.describe_configs(resources, request_timeout=WAIT_S)
        found = {
            resource.name: self._unless(_MISSING | _NOT_TOLD, future)
            for resource, future in asked.items()
        }
        return {
            name: {entry.name: entry.value for entry in entries.values() if entry.value is not None}
            for name, entries in found.items()
            if entries is not None
        }

    def _alter(self, kind: ResourceType, name: str, configs: Mapping[str, str]) -> None:
        if not configs:
            return
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in configs.items()
        ]
        resource = ConfigResource(kind, name, incremental_configs=entries)
        asked = self._client.incremental_alter_configs([resource], request_timeout=WAIT_S)
        for future in asked.values():
            self._answer(future)
        self._wait_until(
            f"settings of {name} altered",
            lambda: configs.items() <= self._configs(kind, [name])[name].items(),
        )

    def _wait_until(self, what: str, seen: Callable[[], bool]) -> None:
        # A broker answers from its own copy of the metadata, which follows the controller's.
        deadline = time.monotonic() + WAIT_S
        while not seen():
            if time.monotonic() > deadline:
                message = f"{what}, but {self._bootstrap} does not show it after {WAIT_S:g} s"
                raise BrokerUnavailable(message)
            threading.Event().wait(_LOOK_AGAIN_S)

    def _answer(self, future: Future[_T]) -> _T:
        return self._call(lambda: future.result(timeout=WAIT_S + _GRACE_S))

    def _unless(self, accepted: frozenset[int], future: Future[_T]) -> _T | None:
        try:
            return future.result(timeout=WAIT_S + _GRACE_S)
        except (KafkaException, TimeoutError) as error:
            if isinstance(error, KafkaException) and error.args[0].code() in accepted:
                return None
            raise self._error_for(error) from error

    def _call(self, ask: Callable[[], _T]) -> _T:
        try:
            return ask()
        except (KafkaException, TimeoutError) as error:
            raise self._error_for(error) from error

    def _error_for(self, error: Exception) -> JobstreamError:
        cause = error.args[0] if isinstance(error, KafkaException) else None
        if cause is not None and cause.code() >= 0 and not cause.retriable():
            return BrokerRefused(f"{self._bootstrap} refused: {cause.str()} ({cause.name()})")
        self._client.poll(0)  # serves _note, which knows what happened on the connections
        seen = self._last_trouble or (cause.str() if cause is not None else "timed out")
        message = (
            f"no answer from {self._bootstrap} within {WAIT_S:g} s ({seen}): "
            "check JOBSTREAM_BOOTSTRAP_SERVERS and that the brokers run"
        )
        return BrokerUnavailable(message)

    def _note(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - the library's own name
            self._last_trouble = error.str()
