"""What the ledger writes down: runs of handlers, and rows of the dedup topic."""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulation.runtime import Process

from jobstream_processors.core.known import Known

Identity = tuple[str, int, int]
"""(job id, redrive, seq): one delivery."""


@dataclass(slots=True, eq=False)
class Start:
    """A run of a handler."""

    number: int
    process: Process
    delivery: Identity
    attempt: int
    claim: int
    source: tuple[str, int, int]
    at_us: int
    slept_us: int
    key: str | None
    group: int | None = None
    """Of a unique job."""
    in_child: bool = False
    ended_us: int | None = None
    limit_us: int = 0
    excused: str = ""
    """Why another may run beside it: its owner was frozen, or lost the partition."""

    def excludes(self, other: Start, *, by_group: bool = True) -> bool:
        """Whether the other may not run beside it: the same job, or one of its keys."""
        return (
            other.number == self.number
            or (self.key is not None and other.key == self.key)
            or (by_group and self.group is not None and other.group == self.group)
        )


@dataclass(slots=True)
class Written:
    """A row of the dedup topic."""

    fact: Known
    offset: int
    partition: int
    writer: Process | None
    acknowledged: bool
