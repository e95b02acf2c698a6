"""A broker in memory that is no kinder than Kafka: topics, groups, and faults to switch on.

It keeps what the `Source`, `Sink` and `Log` beside it need, under one lock, by a virtual clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.testing.errors import GroupNotEmpty, NoSuchMember
from jobstream.testing.memory_group import MemoryGroup
from jobstream.testing.memory_publish import RECORD_BYTES_MAX, Publishing
from jobstream.testing.virtual_clock import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from jobstream.testing.memory_record import MemoryRecord
    from jobstream_processors.ports import Position, TopicPartition

_ALL = 1 << 62
REBALANCE_MS = 300_000


class MemoryBroker(Publishing):
    """Topics and consumer groups. Thread-safe; `changed` is notified of everything that happens.

    `wait_ms` is how a slow publish lets virtual time pass; by default it blocks until another
    thread has advanced the clock.
    """

    def __init__(
        self,
        clock: VirtualClock | None = None,
        *,
        record_bytes_max: int = RECORD_BYTES_MAX,
        wait_ms: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(clock or VirtualClock(), record_bytes_max, wait_ms)
        self._groups: dict[str, MemoryGroup] = {}
        self._members = 0
        self.rebalance_ms = REBALANCE_MS
        """How long a member may keep what it is to give back, before it loses all it owns."""
        self.clock.on_advance(self.wake)

    def wake(self) -> None:
        """Let everything that blocks on the broker look again."""
        with self.changed:
            self.changed.notify_all()

    # -- topics

    def create_topic(self, name: str, partitions: int = 1, *, compacted: bool = False) -> None:
        """Create a topic; raises TopicExists."""
        with self.changed:
            self._logs.create(name, partitions, compacted=compacted)
            self._rebalance_all()

    def delete_topic(self, name: str) -> None:
        """Delete a topic, its records and what any group committed for it; raises NoSuchTopic."""
        with self.changed:
            self._logs.delete(name)
            for group in self._groups.values():
                group.forget_topic(name)
            self._rebalance_all()

    def recreate_topic(self, name: str, partitions: int | None = None) -> None:
        """Delete a topic and create it again at once, before any member notices.

        It is empty, has another id, and what groups committed for it is gone. Each member goes on
        from the offset it knew, and may commit that. Nothing rebalances, unless `partitions`
        changes the count. Raises NoSuchTopic.
        """
        with self.changed:
            before = len(self._logs.topic(name).partitions)
            self._logs.recreate(name, partitions)
            for group in self._groups.values():
                group.forget_committed(name)
            if len(self._logs.topic(name).partitions) != before:
                self._rebalance_all()
            self.changed.notify_all()

    def add_partitions(self, name: str, partitions: int) -> None:
        """Raise a topic's count to `partitions`, as an operator may.

        Groups are given the new ones, and records without a partition use them at once. Raises
        NoSuchTopic, ValueError for a count that is not higher.
        """
        with self.changed:
            self._logs.grow(name, partitions)
            self._rebalance_all()

    def topics(self) -> Mapping[str, int]:
        """Topic → partition count."""
        with self.changed:
            return self._logs.counts()

    def has_topic(self, topic: str) -> bool:
        """Whether there is such a topic."""
        with self.changed:
            return self._logs.has(topic)

    def topic_id(self, topic: str) -> str:
        """The id of this incarnation of the topic; raises NoSuchTopic."""
        with self.changed:
            return self._logs.topic(topic).id

    def compact(self, topic: str, *, drop_tombstones: bool = False) -> None:
        """Keep the last record per key in each partition, whatever stood before it.

        With `drop_tombstones` also what compaction removes later. Raises NotCompacted.
        """
        with self.changed:
            self._logs.compact(topic, drop_tombstones=drop_tombstones)

    def truncate(self, topic: str, partition: int, before: int) -> None:
        """End the records below offset `before`, as retention does."""
        with self.changed:
            self._logs.partition((topic, partition)).truncate(before)
            self.changed.notify_all()

    def cut(self, topic: str, partition: int, end: int) -> None:
        """End the records from offset `end` on, as an unclean election or a restored backup does.

        What is written next has the offsets of those that are gone.
        """
        with self.changed:
            self._logs.partition((topic, partition)).cut(end)
            self.changed.notify_all()

    # -- records

    def records(self, topic: str, partition: int | None = None) -> list[MemoryRecord]:
        """The records in the log now, by partition and offset; raises NoSuchTopic."""
        with self.changed:
            logs = self._logs.topic(topic).partitions
            if partition is not None:
                logs = [self._logs.partition((topic, partition))]
            return [record for log in logs for record in log.read(0, log.end, _ALL)]

    def span(self, partition: TopicPartition) -> tuple[int, int]:
        """(first offset kept, next offset to be written); raises NoSuchTopic, NoSuchPartition."""
        with self.changed:
            log = self._logs.partition(partition)
            return log.start, log.end

    def spans(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """The span of each of these that is there."""
        with self.changed:
            logs = ((partition, self._logs.find(partition)) for partition in partitions)
            return {partition: (log.start, log.end) for partition, log in logs if log is not None}

    def read(
        self, partition: TopicPartition, start: int, stop: int, limit: int
    ) -> list[MemoryRecord]:
        """At most `limit` records of [start, stop); none of a topic that is not there."""
        with self.changed:
            log = self._logs.find(partition)
            return log.read(start, stop, limit) if log is not None else []

    # -- consumer groups

    def group(self, name: str) -> MemoryGroup:
        """The group's state, made when first asked for. Touch it under `changed` only."""
        return self._groups.setdefault(name, MemoryGroup())

    def new_member(self, group: str) -> str:
        """A name for a member that is about to join."""
        with self.changed:
            self._members += 1
            return f"{group}-{self._members}"

    def join(self, group: str, member: str, topics: Collection[str]) -> None:
        """A member subscribes; topics that are not there yet give it nothing until they are."""
        with self.changed:
            self.group(group).join(member, topics, self._logs.all_partitions())
            self.changed.notify_all()

    def leave(self, group: str, member: str) -> None:
        """A member leaves; what it owned is free."""
        with self.changed:
            self.group(group).leave(member, self._logs.all_partitions())
            self.changed.notify_all()

    def committed(self, group: str, partition: TopicPartition) -> Position | None:
        """The last committed offset of the group."""
        with self.changed:
            return self.group(group).committed.get(partition)

    def revoking(self, group: str, member: str, partitions: Iterable[TopicPartition]) -> None:
        """A member is to give these back; it has `rebalance_ms` for that."""
        with self.changed:
            owned = self.group(group).owners
            told = [p for p in partitions if owned.get(p) == member]
            self.group(group).asked(told, self.clock.monotonic_ms())

    def fence_overdue(self, group: str) -> None:
        """End the sessions of members that keep what they were to give back for too long."""
        with self.changed:
            before_ms = self.clock.monotonic_ms() - self.rebalance_ms
            for member in self.group(group).overdue(before_ms):
                self.expire(member)

    def owners(self, group: str) -> Mapping[TopicPartition, str]:
        """Partition → the member that owns it now."""
        with self.changed:
            return dict(self.group(group).owners)

    def delete_group(self, group: str) -> None:
        """Forget a group and its committed positions; raises GroupNotEmpty."""
        with self.changed:
            members = sorted(self.group(group).subscriptions)
            if members:
                message = f"group {group!r} has members {members}; close or expire them first"
                raise GroupNotEmpty(message)
            del self._groups[group]

    # -- faults

    def rebalance(self, group: str | None = None) -> None:
        """Revoke everything from everybody; with several members, each gets another's share."""
        with self.changed:
            for name in [group] if group is not None else list(self._groups):
                self.group(name).rotate()
            self.changed.notify_all()

    def freeze(self) -> None:
        """Answer no client until `thaw`: polls bring nothing, commits wait, publishes fail."""
        with self.changed:
            self.is_frozen = True

    def thaw(self) -> None:
        """Answer again."""
        with self.changed:
            self.is_frozen = False
            self.changed.notify_all()

    def lose(self, member: str, partitions: Iterable[TopicPartition]) -> None:
        """Give a live member's partitions away; it learns at its next poll. Raises NoSuchMember.

        Until then, and after, it can publish and commit for them: Kafka lets any live member.
        """
        with self.changed:
            self._group_of(member).lose(member, partitions)
            self.changed.notify_all()

    def expire(self, member: str) -> None:
        """End a member's session: all it owned goes to others. Raises NoSuchMember.

        Its commits are refused until it polls again, learns that all is lost, and joins anew.
        """
        with self.changed:
            self._group_of(member).leave(member, self._logs.all_partitions())
            self.changed.notify_all()

    # -- under the lock

    def _group_of(self, member: str) -> MemoryGroup:
        for group in self._groups.values():
            if member in group.subscriptions:
                return group
        message = f"no live member {member!r}; a member joins with its first poll"
        raise NoSuchMember(message)

    def _rebalance_all(self) -> None:
        for group in self._groups.values():
            group.balance(self._logs.all_partitions())
        self.changed.notify_all()
