"""How a job stands: for the client of a service, and for a framework that keeps results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

Stage = Literal["waiting", "running", "done", "failed"]
_STAGES: dict[str, Stage] = {"running": "running", "done": "done"}
POLL_S = 1
"""Seconds after which it is worth to look again."""


@dataclass(frozen=True, slots=True)
class FailedRun:
    """One run that failed."""

    error: str
    """The class of the error, with its module."""
    traceback: str
    at: datetime | None = None
    """When it was settled, by the broker's clock."""


@dataclass(frozen=True, slots=True)
class FoundJob:
    """One job, as a look at the log or at the views finds it."""

    id: str
    type: str
    """Empty where no record of it can be read any more."""
    state: str
    """`running`, `done`, `dead`, `cancelled`, `expired`, `duplicate`; any other one waits."""
    has_ended: bool
    attempt: int
    """Of the run that goes on or was the last one; of a job that waits, of the next one."""
    args: Mapping[str, Any] | None
    """None where no record of it can be read any more."""
    enqueued_at: datetime | None
    ended_at: datetime | None
    began_at: datetime | None
    """When the run began that goes on; None where none does, or where that is not known."""
    runs_on: str
    """The worker of this machine that runs it; empty if none does."""
    failures: tuple[FailedRun, ...]
    """Runs that failed and left a traceback, the first one first."""

    @property
    def stage(self) -> Stage:
        """Where it stands, in one of four words."""
        return _STAGES.get(self.state, "failed" if self.has_ended else "waiting")


@dataclass(frozen=True, slots=True)
class JobStatus:
    """One job, as a client of the service sees it.

    It tells no args, no error message and no traceback: those are for operators.
    """

    job_id: str
    type: str
    """Empty where no record of it can be read any more."""
    stage: Stage
    """`waiting`: not begun, between two attempts, or running on another machine; `failed`: ended
    without being done. One that is redriven from the dead letters leaves `failed` again."""
    state: str
    """In the product's own words: `dead`, `cancelled`, `expired`…"""
    attempt: int

    @classmethod
    def of(cls, found: FoundJob) -> JobStatus:
        """That of a job that was found."""
        return cls(found.id, found.type, found.stage, found.state, found.attempt)

    @property
    def has_ended(self) -> bool:
        """Whether it runs no more, unless it is redriven."""
        return self.stage in {"done", "failed"}

    def document(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return {
            "job_id": self.job_id,
            "type": self.type,
            "stage": self.stage,
            "state": self.state,
            "attempt": self.attempt,
            "has_ended": self.has_ended,
        }


class JobLookup(Protocol):
    """Finds a job by its id. Safe in any thread."""

    def found(self, job_id: str) -> FoundJob:
        """The job of that whole id; may block for seconds. Raises NoSuch and other AnswerErrors."""

    def close(self) -> None:
        """Give back what it holds."""


def status(lookup: JobLookup, job_id: str) -> JobStatus:
    """How the job stands, for a client."""
    return JobStatus.of(lookup.found(job_id))
