"""How a job stands, for the client of a service who was answered 202.

It tells no args, no error message and no traceback: those are for operators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

Stage = Literal["waiting", "running", "done", "failed"]
_STAGES: dict[str, Stage] = {"running": "running", "done": "done"}
POLL_S = 1
"""Seconds after which it is worth to look again."""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """One job, as a client of the service sees it."""

    job_id: str
    type: str
    """Empty where no record of it can be read any more."""
    stage: Stage
    """`waiting`: not begun, between two attempts, or running on another machine; `failed`: ended
    without being done. One that is redriven from the dead letters leaves `failed` again."""
    state: str
    """In the product's own words: `dead`, `cancelled`, `expired`…"""
    attempt: int

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


def status_of(job_id: str, job_type: str, state: str, attempt: int, *, ended: bool) -> JobStatus:
    """The status of a job in that state; `ended`: it runs no more."""
    stage = _STAGES.get(state, "failed" if ended else "waiting")
    return JobStatus(job_id, job_type, stage, state, attempt)


class JobLookup(Protocol):
    """Finds a job by its id. Safe in any thread."""

    def status(self, job_id: str) -> JobStatus:
        """How the job stands; may block for seconds. Raises NoSuch and other AnswerErrors."""

    def close(self) -> None:
        """Give back what it holds."""
