"""The parts of a model of unique keys: a partition's log, its jobs, and an owner that may die."""

from __future__ import annotations

from dataclasses import dataclass, field

from jobstream_processors.core.unique_keys import UniqueKeys
from jobstream_processors.core.unique_mode import Mode
from jobstream_processors.core.unique_part import UniquePart

KEY = "k"
LIFE_MS = 10**9
"""No hold expires here."""
MODES = {
    "first": Mode(),
    "start": Mode(until_start=True),
    "latest": Mode(latest=True),
    "debounce": Mode(latest=True, wait_ms=3, wait_max_ms=7),
}

LATEST = ("latest",)


@dataclass(eq=False)
class Record:
    job_id: str
    mode: Mode
    offset: int
    appended_ms: int
    seq: int = 0
    redrive: int = 0
    place: int | None = None
    began: bool = False


@dataclass
class Job:
    state: str = ""
    """Its end, by its own row; "" while it has none."""
    redrive: int = -1
    of: str = ""
    moved: tuple[int, int] = (-1, -1)
    effects: int = 0
    enqueued: int = 0
    """The offset of its first record since its last redrive."""


@dataclass
class Owner:
    """What dies with a process."""

    next: int
    keys: UniqueKeys[Record]
    stands: dict[int, UniquePart] = field(default_factory=dict)
    waiting: dict[int, Record] = field(default_factory=dict)
    running: dict[int, Record] = field(default_factory=dict)
    letting_go: dict[int, Record] = field(default_factory=dict)
    settling: dict[int, tuple[Record, str, list[str]]] = field(default_factory=dict)
    """By offset: the record, what it comes to, and the steps that are left."""
    behind: list[Record] = field(default_factory=list)
    """Each waits for another delivery of its job."""

    def flies(self, job_id: str) -> bool:
        held = (*self.waiting.values(), *self.running.values(), *self.letting_go.values())
        settling = [record for record, _, _ in self.settling.values()]
        return any(record.job_id == job_id for record in (*held, *settling))
