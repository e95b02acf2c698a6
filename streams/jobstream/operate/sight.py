"""The result of one scan of an app, as plain values; `lag` and the exporter show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobstream.operate.ladder_reasons import LadderWait
from jobstream.operate.positions import GroupPlace

MAIN = "main"


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition of a queue or of a rung."""

    group: str
    queue: str
    rung: str
    """ "" for the queue itself."""
    standing: GroupPlace
    age_s: float = 0.0
    """How long the oldest unfinished record has been in the log, by broker time; 0 if none is."""
    overdue_s: float = 0.0
    """For how long it should have left already: on a queue its age, on a rung counted from its
    due time or from when it should have hopped on."""

    @property
    def is_waiting(self) -> bool:
        """Whether there may be a record that the group has not finished."""
        return self.standing.unfinished < self.standing.high

    @property
    def tier(self) -> str:
        """`main` for a queue, `retry-<rung>` for a rung."""
        return f"retry-{self.rung}" if self.rung else MAIN


@dataclass(frozen=True, slots=True)
class GroupSize:
    """Members of a consumer group, and how many of them have no partition."""

    members: int
    idle: int


@dataclass(frozen=True, slots=True)
class LettersOpen:
    """Open dead letters of one queue."""

    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(job type, reason) → how many."""
    oldest_s: float = 0.0

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Sight:
    """One look."""

    taken_ms: int
    """Monotonic; only differences mean something."""
    queues: tuple[str, ...]
    partitions: tuple[PartitionLag, ...]
    groups: Mapping[str, GroupSize]
    letters: Mapping[str, LettersOpen]
    """Queue → its open letters."""
    retention_ms: Mapping[str, int]
    """Topic → how long it keeps records; -1 is for ever."""
    backlog: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """(queue, job type) → about how many wait on the queue; a sample's word."""
    ladder: Mapping[tuple[str, str], LadderWait] = field(default_factory=dict)
    """(queue, reason) → about how many wait on its ladder for that; a sample's word, too."""
    broker_ms: int = 0
    """Broker time of the look."""
    control: Mapping[str, int] = field(default_factory=dict)
    """Kind → control entries in force."""
