"""A real Apache Kafka for a laptop and for tests, without Docker and without a system Java.

This room starts, watches and stops brokers. It never produces or consumes a job: to the rest
of jobstream an embedded broker is an address like any other.
"""

from jobstream.broker.embedded import EmbeddedKafka
from jobstream.broker.errors import (
    BrokerDirectoryError,
    BrokerError,
    BrokerStartError,
    BrokerStateError,
    JarDownloadError,
    JarMismatchError,
    MissingDependencyError,
    NoSuchNodeError,
    PortInUseError,
)
from jobstream.broker.java_commands import BrokerProcess, BrokerState, down, status, up

__all__ = [
    "BrokerDirectoryError",
    "BrokerError",
    "BrokerProcess",
    "BrokerStartError",
    "BrokerState",
    "BrokerStateError",
    "EmbeddedKafka",
    "JarDownloadError",
    "JarMismatchError",
    "MissingDependencyError",
    "NoSuchNodeError",
    "PortInUseError",
    "down",
    "status",
    "up",
]
