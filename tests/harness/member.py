"""A member of a group for tests: any `Source`, and what its listener hears, written down.

It starts, pauses and commits nothing by itself. Nothing here knows which broker is behind it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from jobstream_processors.ports import Position, Record, Source, TopicPartition

TURN_S = 0.05
BATCH_MAX = 1000


class Heard(NamedTuple):
    """One call of a listener: "assigned", "revoked", "lost" or "misplaced", and the partitions."""

    what: str
    partitions: frozenset[TopicPartition]


class Member:
    """A source and its listener in one. Used by one thread."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.heard: list[Heard] = []
        self.owned: set[TopicPartition] = set()
        self.committed: dict[TopicPartition, Position | None] = {}
        """What the group had committed when a partition was assigned last."""
        self.reasons: list[str] = []
        """Why places were not in their log."""
        self.records: list[Record] = []
        """Everything delivered so far."""
        self.on_assign: Callable[[Iterable[TopicPartition]], None] | None = None
        """Called from inside `assigned`, as a delayer starts there."""
        self.on_revoke: Callable[[Iterable[TopicPartition]], None] | None = None
        """Called from inside `revoked`, as a worker settles and commits there."""
        self.leaving: set[TopicPartition] = set()
        """Revoked, and not released yet."""
        self.may_leave: Callable[[], bool] | None = None
        """Whether what is revoked may be released; asked again and again. None: at once."""

    def turn(self, timeout_s: float = 0.0, limit: int = BATCH_MAX) -> None:
        """Poll once."""
        if self.leaving:
            self._release()
        self.records += self.source.poll(limit, timeout_s)

    def values(self) -> list[bytes | None]:
        """The values delivered so far, in order."""
        return [record.value() for record in self.records]

    def assigned(self, partitions: Mapping[TopicPartition, Position | None]) -> None:
        """Write it down, then `on_assign`."""
        self.heard.append(Heard("assigned", frozenset(partitions)))
        self.owned.update(partitions)
        self.committed.update(partitions)
        if self.on_assign is not None:
            self.on_assign(partitions)

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Write it down, after `on_revoke`."""
        if self.on_revoke is not None:
            self.on_revoke(partitions)
        self.heard.append(Heard("revoked", frozenset(partitions)))
        self.owned.difference_update(partitions)
        self.leaving.update(partitions)
        self._release()

    def go_on(self) -> None:
        """Poll, as a worker does while jobs of what is revoked run."""
        self.turn(TURN_S)

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        """Write it down."""
        self.heard.append(Heard("lost", frozenset(partitions)))
        self.owned.difference_update(partitions)
        self.leaving.difference_update(partitions)

    def _release(self) -> None:
        if self.may_leave is None or self.may_leave():
            leaving, self.leaving = self.leaving, set()
            self.source.release(leaving)

    def misplaced(self, partition: TopicPartition, reason: str) -> None:
        """Write it down."""
        self.heard.append(Heard("misplaced", frozenset([partition])))
        self.reasons.append(reason)


def turn_until(
    members: Iterable[Member], reached: Callable[[], bool], timeout_s: float = 180.0
) -> None:
    """Let the members poll in turn until `reached`; raises TimeoutError with what they heard."""
    everybody = list(members)
    deadline = time.monotonic() + timeout_s
    while not reached():
        if time.monotonic() > deadline:
            heard = [member.heard for member in everybody]
            message = f"not reached within {timeout_s} s; the members heard {heard}"
            raise TimeoutError(message)
        for member in everybody:
            member.turn(TURN_S)
