"""How a job can end: what user code raises, and the closed set the core reasons about.

Returning is done. The four public outcomes derive from BaseException so that a catch-all in user
code does not swallow them. What comes out of a handler is read by the room that runs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobstream_processors.core.duration import to_ms

if TYPE_CHECKING:
    from jobstream_processors.core.duration import Duration

UNDECODABLE = "undecodable"
"""Reason of a dead letter whose bytes are no such job; says nothing of any handler's health."""


class JobOutcome(BaseException):
    """Base of the outcomes a handler raises, from any depth of user code."""


class RetryAfter(JobOutcome):
    """Run again after `delay`; uses an attempt, so the type's attempt limit still holds.

    With `limit=True`, as for an answer 429 of a service, it uses none, and counts as a snooze: the
    type's limits for this job's key let nothing start before then.
    """

    def __init__(self, delay: Duration, reason: str = "", *, limit: bool = False) -> None:
        self.delay_ms = to_ms(delay, name="RetryAfter(delay)")
        self.reason = reason
        self.limit = limit
        super().__init__(reason or f"retry after {self.delay_ms} ms")


class Snooze(JobOutcome):
    """Run again after `delay` without using an attempt (e.g. not ready yet). Capped in number."""

    def __init__(self, delay: Duration, reason: str = "") -> None:
        self.delay_ms = to_ms(delay, name="Snooze(delay)")
        self.reason = reason
        super().__init__(reason or f"snooze {self.delay_ms} ms")


class Cancel(JobOutcome):
    """Stop for good because it is no longer wanted: terminal, no dead letter, no alert."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(reason or "cancelled")


class Dead(JobOutcome):
    """Give up now: the job goes to the dead letters with this reason."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(reason or "dead")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a run failed."""

    frame: str = ""
    """`file:line in function`: the last frame of the user's own code."""
    traceback: str = ""


NOWHERE = Spot()


@dataclass(frozen=True, slots=True)
class Done:
    """The handler returned. `returned` says that it returned something, which is only warned of."""

    returned: bool = False


@dataclass(frozen=True, slots=True)
class Raised:
    """The handler failed: any exception that is no public outcome, and a handler's own exit."""

    error: str
    message: str
    classes: tuple[str, ...]
    """Qualified names along the exception's MRO, so that a policy made elsewhere can match them."""
    spot: Spot = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Again:
    """Wanted by the handler: run again after `delay_ms`."""

    delay_ms: int
    uses_attempt: bool
    reason: str
    spot: Spot = field(default=NOWHERE, compare=False)
    slows: bool = False
    """The limits of its type are to let nothing start meanwhile that shares its key."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Wanted by the handler: terminal without a dead letter."""

    reason: str


@dataclass(frozen=True, slots=True)
class DeclaredDead:
    """Wanted by the handler or found by the worker: dead letter now."""

    reason: str
    message: str
    spot: Spot = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Sound args of another schema, which this code cannot read: the handler never began."""

    message: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The time limit passed. The handler may still be running (a thread can't be stopped)."""

    after_ms: int
    spot: Spot = field(default=NOWHERE, compare=False)
    """Where it was by then, as far as that could be seen."""


@dataclass(frozen=True, slots=True)
class Expired:
    """Its time was over before a slot was free for it: the handler never began."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The worker is shutting down or lost the partition: nothing is settled, no attempt is used."""


@dataclass(frozen=True, slots=True)
class Crashed:
    """The process that ran the handler died while this worker lived."""

    how: str


@dataclass(frozen=True, slots=True)
class Unstarted:
    """No process could begin it: its handler has not run, and the job has no part in that."""

    reason: str
    """Of the dead letter, should no process ever be able to."""
    how: str
    spot: Spot = field(default=NOWHERE, compare=False)


Outcome = (
    Done | Raised | Again | Cancelled | DeclaredDead | Unreadable | TimedOut | Expired | Interrupted
) | (Crashed | Unstarted)

DONE = Done()
STOPPED = Cancelled("stopped by an operator")
"""Of a delivery that an operator cancelled; who and why is known to the engine."""
RETURNED = Done(returned=True)


def is_wanted(outcome: Outcome) -> bool:
    """Whether the handler ran and ended as it wanted to, which shows that it is in health."""
    return isinstance(outcome, Done | Cancelled) or (
        isinstance(outcome, Again) and not outcome.uses_attempt
    )


def is_unread(outcome: Outcome) -> bool:
    """Whether the args could not be read, which says nothing of the handler's health."""
    return isinstance(outcome, Unreadable) or (
        isinstance(outcome, DeclaredDead) and outcome.reason == UNDECODABLE
    )
