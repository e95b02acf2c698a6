"""One way to set up a broker for a test that must hold on every broker, and the bench in memory.

A bench makes topics and groups with names of their own, and the ports' implementations on them.
It asserts nothing.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Protocol

from tests.harness.member import Member

from jobstream.testing.memory_broker import MemoryBroker
from jobstream.testing.memory_log import MemoryLog
from jobstream.testing.memory_sink import MemorySink
from jobstream.testing.memory_source import MemorySource

if TYPE_CHECKING:
    from jobstream_processors.ports import Log, Sink, TopicPartition


class Frozen(Protocol):
    """A member in a process of its own that can stand still while the rest goes on."""

    def freeze(self) -> None:
        """Stand still; before long the broker gives its partitions to others."""

    def thaw(self) -> list[str]:
        """Go on; returns what it heard ("assigned", "revoked", "lost") until it heard of a loss."""

    def close(self) -> None:
        """End it."""


class Bench(Protocol):
    """A broker, ready to be tested against."""

    sink: Sink
    log: Log

    def topic(self, partitions: int = 1, *, compacted: bool = False) -> str:
        """A new topic; returns its name."""

    def group(self) -> str:
        """The name of a new group."""

    def member(self, group: str, topic: str) -> Member:
        """A member that joins with its first turn; closed with the bench."""

    def frozen_member(self, group: str, topic: str) -> Frozen:
        """A member that owns every partition of the topic when this returns."""

    def truncate(self, partition: TopicPartition, before: int) -> None:
        """End the records below offset `before`."""

    def recreate(self, topic: str) -> None:
        """Delete a topic of one partition and create it again; returns once it is there."""

    def delete_group(self, group: str) -> None:
        """Forget what the group committed; it has no members any more."""

    def close(self) -> None:
        """Close everything made here."""


class MemoryBench:
    """The bench on a `MemoryBroker` of its own."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.sink = MemorySink(self.broker)
        self.log = MemoryLog(self.broker)
        self._numbers = count(1)
        self._members: list[Member] = []

    def topic(self, partitions: int = 1, *, compacted: bool = False) -> str:
        """A new topic; returns its name."""
        name = f"topic-{next(self._numbers)}"
        self.broker.create_topic(name, partitions, compacted=compacted)
        return name

    def group(self) -> str:
        """The name of a new group."""
        return f"group-{next(self._numbers)}"

    def member(self, group: str, topic: str) -> Member:
        """A member that joins with its first turn; closed with the bench."""
        source = MemorySource(self.broker, group, [topic])
        member = Member(source)
        source.listen(member)
        self._members.append(member)
        return member

    def frozen_member(self, group: str, topic: str) -> Frozen:
        """A member that owns every partition of the topic when this returns."""
        member = self.member(group, topic)
        member.turn()
        return _FrozenInMemory(self.broker, member)

    def truncate(self, partition: TopicPartition, before: int) -> None:
        """End the records below offset `before`."""
        self.broker.truncate(*partition, before)

    def recreate(self, topic: str) -> None:
        """Delete a topic and create it again."""
        self.broker.recreate_topic(topic)

    def delete_group(self, group: str) -> None:
        """Forget what the group committed."""
        self.broker.delete_group(group)

    def close(self) -> None:
        """Close every member made here."""
        for member in self._members:
            member.source.close()


class _FrozenInMemory:
    """Nobody polls it while it is frozen, and its session is over."""

    def __init__(self, broker: MemoryBroker, member: Member) -> None:
        self._broker = broker
        self._member = member

    def freeze(self) -> None:
        source = self._member.source
        assert isinstance(source, MemorySource)
        self._broker.expire(source.member)

    def thaw(self) -> list[str]:
        self._member.turn()
        return [heard.what for heard in self._member.heard]

    def close(self) -> None:
        self._member.source.close()
