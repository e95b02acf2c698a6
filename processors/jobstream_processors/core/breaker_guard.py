"""What one process knows of one breaker: what runs said, what operators and others say.

It decides which ends count as failures, and how the jobs that wait come back one after the
other. Times are the brokers', in epoch milliseconds.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from jobstream_processors.core.circuit import Circuit, State, Terms
from jobstream_processors.core.decide import DeadLetter
from jobstream_processors.core.outcome import Done, Raised, TimedOut
from jobstream_processors.core.retry import draw
from jobstream_processors.core.verdict import NotBefore

if TYPE_CHECKING:
    from jobstream_processors.core.breaker import Breaker
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.outcome import Outcome

BREAKER: Final = "breaker"
"""Why a job waits, in one word."""
PROBED_MS: Final = 1_000
"""While probes run, others wait in memory for so long: mostly they are over by then."""


class Health(Enum):
    """What the end of a run says of the dependency."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


def health(outcome: Outcome, decision: Decision) -> Health:
    """Good if the handler returned, bad after a transient failure or a timeout.

    Everything else says nothing of the dependency: a permanent failure is the job's own, Snooze,
    Cancel and Dead are the handler's decisions, and RetryAfter is the dependency's answer.
    """
    if isinstance(outcome, Done):
        return Health.GOOD
    if isinstance(outcome, TimedOut):
        return Health.BAD
    if not isinstance(outcome, Raised):
        return Health.UNKNOWN
    own = isinstance(decision, DeadLetter) and decision.carried.reason == "permanent"
    return Health.UNKNOWN if own else Health.BAD


class Change(Enum):
    """What the end of a run did to a breaker."""

    OPENED = "opened"
    """It was closed."""
    REOPENED = "reopened"
    """A probe failed."""
    CLOSED = "closed"


def terms_of(breaker: Breaker) -> Terms:
    """What the job types declare, in numbers."""
    return Terms(
        float(breaker.ratio),
        breaker.least,
        breaker.window_ms,
        breaker.open_ms,
        breaker.open_ms_max,
        breaker.probes,
    )


class BreakerFacts(NamedTuple):
    """How one breaker stands in this process."""

    name: str
    state: State
    until_ms: int | None
    """Broker time when it is tried again; None while it is not open."""
    held: str
    """By whom it is held and why; "" where the runs decide."""
    openings: tuple[tuple[str, int], ...]
    """How often it opened, by what opened it."""


class BreakerGuard:
    """One process's view of one breaker: its circuit, and what operators ordered of it."""

    __slots__ = ("_forced", "_until_ms", "breaker", "circuit")

    def __init__(self, breaker: Breaker) -> None:
        self.breaker = breaker
        self.circuit = Circuit(terms_of(breaker))
        self._forced: State | None = None
        self._until_ms = 0

    def forced(self, now_ms: int) -> State | None:
        """How operators hold it now; None: the runs decide."""
        return self._forced if now_ms < self._until_ms else None

    def state(self, now_ms: int) -> State:
        """What it lets through now."""
        forced = self.forced(now_ms)
        return self.circuit.state(now_ms) if forced is None else forced

    def until_ms(self, now_ms: int) -> int | None:
        """When it is tried again; None while it is not open."""
        return self.circuit.until_ms if self.state(now_ms) is State.OPEN else None

    # -- what others say

    def force(self, state: State, until_ms: int) -> None:
        """Operators hold it open or closed until then. Held open, it is tried by probes after."""
        self._forced, self._until_ms = state, until_ms
        if state is State.OPEN:
            self.circuit.hold(until_ms)
        else:
            self.circuit.reset()

    def release(self, now_ms: int) -> None:
        """Operators hold it no more: it is closed, unless their time was over anyway."""
        if self.forced(now_ms) is not None:
            self.circuit.reset()
        self._forced = None

    def told(self, now_ms: int, until_ms: int) -> bool:
        """Another process opened it until then; True if it opens here by that."""
        return self.forced(now_ms) is None and self.circuit.told(now_ms, until_ms)

    # -- what runs say

    def verdict(self, now_ms: int, job_id: str, redrive: int, seq: int) -> NotBefore | None:
        """None if the job may begin now; `begins` follows if it does.

        The jobs that wait come back spread over half of the open time, each at a moment that
        depends on its id and seq alone.
        """
        state, circuit = self.state(now_ms), self.circuit
        if state is State.CLOSED or circuit.has_probe(now_ms):
            return None
        until_ms = circuit.until_ms
        if until_ms is not None:
            # Operators may hold it for long, and release it at any time.
            base_ms = min(until_ms, now_ms + circuit.terms.open_ms_max)
        elif now_ms < (probed_ms := circuit.probed_ms + PROBED_MS):
            return NotBefore(BREAKER, probed_ms)
        else:
            base_ms = now_ms + circuit.terms.open_ms
        late_ms = round(circuit.open_ms / 2 * draw(job_id, redrive, seq))
        return NotBefore(BREAKER, base_ms + late_ms)

    def begins(self, now_ms: int) -> int:
        """A job begins, as a probe if it is not closed; returns what `ended` is to be told."""
        self.circuit.begin(now_ms)
        self.circuit.take_probe(now_ms)
        return self.circuit.era

    def ended(self, now_ms: int, era: int, health: Health) -> Change | None:
        """A run that began in that era has ended, or says nothing as it was taken back."""
        circuit = self.circuit
        if era != circuit.era or self.forced(now_ms) is not None:
            return None
        if circuit.is_closed:
            if health is Health.GOOD:
                circuit.succeeded(now_ms)
            elif health is Health.BAD and circuit.failed(now_ms):
                return Change.OPENED
            return None
        if health is Health.BAD:
            circuit.probe_failed(now_ms)
            return Change.REOPENED
        if health is Health.UNKNOWN:
            circuit.probe_unproved(now_ms)
            return None
        return Change.CLOSED if circuit.probe_succeeded(now_ms) else None
