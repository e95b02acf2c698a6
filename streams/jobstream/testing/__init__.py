"""What tests of jobs are written with: a broker in memory, a clock by hand, a real Kafka.

Nothing here is used by a worker in production.
"""

from __future__ import annotations

from jobstream.testing.broker import MemoryBroker
from jobstream.testing.clock import VirtualClock
from jobstream.testing.memory_log import MemoryLog
from jobstream.testing.memory_shard import MemoryShard
from jobstream.testing.memory_sink import MemorySink
from jobstream.testing.memory_source import MemorySource

__all__ = [
    "MemoryBroker",
    "MemoryLog",
    "MemoryShard",
    "MemorySink",
    "MemorySource",
    "VirtualClock",
]
