"""A failure as plain data for user code, and the texts of a run that failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from jobstream_processors.core.outcome import (
    NOWHERE,
    Again,
    Crashed,
    DeclaredDead,
    Raised,
    Spot,
    TimedOut,
    Unstarted,
)

if TYPE_CHECKING:
    from jobstream_processors.core.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that failed, or a job that died without one, as `App.on_failure` gets it.

    Texts are without secret fields.
    """

    exception: BaseException | None = field(repr=False)
    """What the handler raised, as it is; None for a timeout, and where a process ran it."""
    error: str
    """Its class with its module, or `jobstream.Timeout`, `jobstream.Crashed`; without a run
    `jobstream.` and the reason."""
    message: str
    traceback: str = field(repr=False)
    """At most 8,000 bytes in UTF-8; of a timeout, where the handler was; "" where there is none."""
    job_id: str
    job: str
    """Its type; "" of a record that can't be read."""
    queue: str
    attempt: int
    redrive: int
    topic: str
    partition: int
    offset: int
    correlation_id: str | None
    decision: Literal["retry", "dead"]
    reason: str
    """Why it is dead, as in the dead letter: `permanent`, `attempts_exhausted`…; else ""."""
    retry_in_ms: int | None
    """How long it waits before it runs again."""
    fingerprint: str = ""
    """Of its cause: the same for jobs that fail alike, and that of the dead letter."""

    @property
    def will_retry(self) -> bool:
        """Whether the job runs again by itself."""
        return self.decision == "retry"


Callback = Callable[[Failure], object]


def texts_of(outcome: Outcome | None) -> tuple[str, str, Spot]:
    """Error, message and place; no error where the run did not fail by itself."""
    match outcome:
        case Raised(error, message, _, spot):
            return error, message, spot
        case TimedOut(after_ms, spot):
            return "jobstream.Timeout", f"still running after {after_ms} ms", spot
        case Crashed(how):
            return "jobstream.Crashed", how, NOWHERE
        case Unstarted(_, how, spot):
            return "jobstream.ChildNotStarted", how, spot
        case DeclaredDead(reason, message, spot):
            return f"jobstream.{reason}", message, spot
        case Again(spot=spot):
            return "", "", spot
    return "", "", NOWHERE
