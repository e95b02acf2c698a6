"""One consumer group as its coordinator sees it: members, owners, committed positions.

Plain data without a lock or a callback. A partition is granted to its next owner only after the
last one gave it back or was declared dead, as in Kafka's incremental protocol.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from jobstream.testing.assignor import assign
from jobstream_processors.ports import Position, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Kafka's default for offset.metadata.max.bytes.
NOTE_BYTES_MAX = 4096


class Steps(NamedTuple):
    """The duties of a member before it may poll again."""

    lost: list[TopicPartition]
    revoke: list[TopicPartition]
    grant: list[TopicPartition]


@dataclass(slots=True)
class MemoryGroup:
    """State of one group."""

    subscriptions: dict[str, Collection[str]] = field(default_factory=dict)
    """Live member → its topics."""
    target: dict[TopicPartition, str] = field(default_factory=dict)
    owners: dict[TopicPartition, str] = field(default_factory=dict)
    """Changes hands only while its new owner polls, so a loss can't go unseen."""
    committed: dict[TopicPartition, Position] = field(default_factory=dict)
    _giving_back: set[TopicPartition] = field(default_factory=set)
    """Partitions to be revoked once, even if their owner is to get them back."""
    _asked_ms: dict[TopicPartition, int] = field(default_factory=dict)
    """When its owner was asked to give a partition back."""

    def join(self, member: str, topics: Collection[str], everything: list[TopicPartition]) -> None:
        """A member subscribes."""
        self.subscriptions[member] = topics
        self.balance(everything)

    def leave(self, member: str, everything: list[TopicPartition]) -> None:
        """A member is gone, by its own will or not: what it owned is free at once."""
        self.subscriptions.pop(member, None)
        self.free(member, list(self.owners))
        self.balance(everything)

    def balance(self, everything: list[TopicPartition]) -> None:
        """Work out anew who should own what; owners are asked to give back as they poll."""
        self.target = assign(self.subscriptions, everything, self.target)

    def forget_topic(self, topic: str) -> None:
        """The topic is deleted: its positions are gone, and its owners are to give it back."""
        self.forget_committed(topic)
        self._giving_back.update(p for p in self.owners if p[0] == topic)

    def forget_committed(self, topic: str) -> None:
        """Drop what was committed for a deleted topic."""
        for partition in [p for p in self.committed if p[0] == topic]:
            del self.committed[partition]

    def rotate(self) -> None:
        """Everything is given back, and goes to the next member that can take it."""
        self._giving_back = set(self.owners)
        for partition, member in self.target.items():
            self.target[partition] = self._next_after(member, partition)

    def lose(self, member: str, partitions: Iterable[TopicPartition]) -> None:
        """Take partitions away from a live member without asking; another one is to have them."""
        for partition in self.free(member, partitions):
            self.target[partition] = self._next_after(member, partition)

    def free(self, member: str, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        """The member owns these no more; returns those that it did own."""
        freed = [p for p in partitions if self.owners.get(p) == member]
        for partition in freed:
            del self.owners[partition]
            self._asked_ms.pop(partition, None)
            self._giving_back.discard(partition)
        return freed

    def steps(self, member: str, held: Iterable[TopicPartition]) -> Steps:
        """What `member`, that believes to own `held`, must do next."""
        lost, revoke = [], []
        for partition in held:
            if self.owners.get(partition) != member:
                lost.append(partition)
            elif partition in self._giving_back or self.target.get(partition) != member:
                revoke.append(partition)
        grant = [p for p, m in self.target.items() if m == member and p not in self.owners]
        return Steps(sorted(lost), sorted(revoke), sorted(grant))

    def asked(self, partitions: Iterable[TopicPartition], now_ms: int) -> None:
        """The owners of these are to give them back."""
        for partition in partitions:
            self._asked_ms.setdefault(partition, now_ms)

    def overdue(self, before_ms: int) -> list[str]:
        """Members that were asked before that time and have not given back."""
        late = [self.owners[p] for p, at in self._asked_ms.items() if at < before_ms]
        return list(dict.fromkeys(late))

    def grant(self, member: str, partitions: Iterable[TopicPartition]) -> None:
        """Make `member` the owner of partitions without one."""
        self.owners.update(dict.fromkeys(partitions, member))

    def commit(
        self, member: str, positions: Mapping[TopicPartition, Position]
    ) -> dict[TopicPartition, str]:
        """Commit for a live member, also of partitions that it does not own, as Kafka does.

        Returns why some were refused.
        """
        if member not in self.subscriptions:
            return dict.fromkeys(positions, "unknown member: its session is over")
        refused = {}
        for partition, position in positions.items():
            if len(position.note.encode()) > NOTE_BYTES_MAX:
                refused[partition] = f"note of more than {NOTE_BYTES_MAX} bytes"
            else:
                self.committed[partition] = position
        return refused

    def _next_after(self, member: str, partition: TopicPartition) -> str:
        able = sorted(m for m, topics in self.subscriptions.items() if partition[0] in topics)
        following = [name for name in able if name > member]
        return (following or able or [member])[0]
