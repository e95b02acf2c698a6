"""The settings of an embedded broker, as plain data.

`shared_settings` is what makes a broker behave as jobstream expects, wherever it runs:
`docker-compose.yml` carries the same values and a test compares them. `node_settings` adds what
only one node of our own knows: its number, its ports, its directory. Nothing here is written to
a file or started.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """One node: its number (from 1) and its two ports on this machine."""

    node: int
    port: int
    controller_port: int

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"{HOST}:{self.port}"


def shared_settings(nodes: int) -> dict[str, str]:
    """Broker settings for a cluster of `nodes`; with three, one may die without losing writes."""
    copies = min(3, nodes)
    in_sync = 2 if copies == 3 else 1  # noqa: PLR2004  # a majority of three
    return {
        "auto.create.topics.enable": "false",
        "default.replication.factor": str(copies),
        "min.insync.replicas": str(in_sync),
        # The time of record is the broker's; a producer's clock may be days wrong.
        "log.message.timestamp.type": "LogAppendTime",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": str(copies),
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": str(copies),
        "transaction.state.log.min.isr": str(in_sync),
        "share.coordinator.state.topic.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": str(copies),
        "share.coordinator.state.topic.min.isr": str(in_sync),
        "group.initial.rebalance.delay.ms": "0",
        # Kafka's own minimum is 45 s: a killed member's partitions would idle as long.
        "group.consumer.min.session.timeout.ms": "3000",
        "group.consumer.session.timeout.ms": "10000",
        "group.consumer.min.heartbeat.interval.ms": "200",
        "group.consumer.heartbeat.interval.ms": "1000",
        "unclean.leader.election.enable": "false",
        # A node killed with -9 is fenced after this long, and its partitions get new leaders.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "log.retention.check.interval.ms": "10000",
        "log.segment.delete.delay.ms": "1000",
        # The cleaner allocates this at start; Kafka's 128 MiB is a third of our heap.
        "log.cleaner.dedupe.buffer.size": "33554432",
        "log.cleaner.backoff.ms": "5000",
    }


def node_settings(
    address: NodeAddress, cluster: tuple[NodeAddress, ...], data: Path
) -> dict[str, str]:
    """All settings of one node that is broker and controller in one process."""
    voters = ",".join(f"{peer.node}@{HOST}:{peer.controller_port}" for peer in cluster)
    client = f"PLAINTEXT://{address.bootstrap}"
    return {
        "process.roles": "broker,controller",
        "node.id": str(address.node),
        "controller.quorum.voters": voters,
        "listeners": f"{client},CONTROLLER://{HOST}:{address.controller_port}",
        "advertised.listeners": client,
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        **shared_settings(len(cluster)),
    }


def as_properties(settings: Mapping[str, str]) -> str:
    """The text of a Java properties file; a backslash would start an escape, so it is doubled."""
    lines = (f"{name}={value}".replace("\\", "\\\\") for name, value in settings.items())
    return "\n".join(lines) + "\n"
