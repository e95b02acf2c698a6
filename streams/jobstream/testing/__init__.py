"""Tools for tests of jobs: a broker in memory, a clock by hand, a real Kafka.

Nothing here is used by a worker in production. The pytest fixtures are imported at first use, so
that the rest works where pytest is not installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from jobstream.enqueue.direct import Collected, CollectingContext, context
from jobstream.testing.memory_broker import MemoryBroker
from jobstream.testing.memory_jobs import MemoryJobs, memory
from jobstream.testing.memory_log import MemoryLog
from jobstream.testing.memory_lookup import MemoryLookup
from jobstream.testing.memory_shard import MemoryShard
from jobstream.testing.memory_sink import MemorySink
from jobstream.testing.memory_source import MemorySource
from jobstream.testing.seen import SeenJob
from jobstream.testing.virtual_clock import VirtualClock

if TYPE_CHECKING:
    from jobstream.broker.fixture import docker_kafka, kafka, kafka_three

__all__ = [
    "Collected",
    "CollectingContext",
    "MemoryBroker",
    "MemoryJobs",
    "MemoryLog",
    "MemoryLookup",
    "MemoryShard",
    "MemorySink",
    "MemorySource",
    "SeenJob",
    "VirtualClock",
    "context",
    "docker_kafka",
    "kafka",
    "kafka_three",
    "memory",
]

_FIXTURES = ("docker_kafka", "kafka", "kafka_three")


def __getattr__(name: str) -> object:
    """The fixtures; raises AttributeError for what is not there."""
    if name in _FIXTURES:
        fixture: object = getattr(importlib.import_module("jobstream.broker.fixture"), name)
        return fixture
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
