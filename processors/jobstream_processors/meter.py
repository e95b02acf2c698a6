"""What a worker counts of jobs, in plain numbers: no library, no locks, no names from outside.

The event loop's thread alone writes it, several times a second. Any thread may read at any time:
integers are replaced whole, and a histogram is shown as one pair.
A series exists only for registered types; whatever else arrives is counted as `_unknown`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from jobstream_processors.core import known
from jobstream_processors.core.decide import DeadLetter, End, Finish, Postpone, Retry, RetryInPlace
from jobstream_processors.core.ladder import RUNGS, rung_for
from jobstream_processors.core.outcome import DONE, Again, Crashed, DeclaredDead, Raised, TimedOut
from jobstream_processors.core.outcome import UNDECODABLE as UNDECODABLE_REASON
from jobstream_processors.histogram import Histogram
from jobstream_processors.turn_meter import TakeoverMeter, TurnMeter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.headers import Carried
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.histogram import Edges
    from jobstream_processors.job_types import JobSpec
    from jobstream_processors.ports import Clock

UNKNOWN = "_unknown"
"""The job type of records that name none that is registered here."""
OUTCOMES = ("done", "retry", "snoozed", "dead", known.CANCELLED, known.EXPIRED, known.DUPLICATE)
TRANSIENT, PERMANENT, TIMEOUT, CRASHED, UNDECODABLE = FAILURES = (
    *("transient", "permanent", "timeout", "crashed"),
    UNDECODABLE_REASON,
)
IN_PLACE = "in place"


class OfQueue(Protocol):
    """A partition, as far as what comes from it is counted."""

    @property
    def queue(self) -> str:
        """The name of its queue."""


class Counted(Protocol):
    """A delivery, as far as it is counted."""

    carried: Carried
    meter: TypeMeter | None
    appended: float

    @property
    def lane(self) -> OfQueue:
        """Where it came from."""


class TypeMeter:
    """What is counted of one job type on one queue."""

    def __init__(self, queue: str, job_type: str, edges: Edges, expect_s: float | None) -> None:
        self.queue = queue
        self.job_type = job_type
        self.expect_s = expect_s
        self.done = 0
        """Settled as done, up to the last fold."""
        self.settled = dict.fromkeys(OUTCOMES[1:], 0)
        """Settled in another way."""
        self.failures = dict.fromkeys(FAILURES, 0)
        self.retries = dict.fromkeys((*RUNGS, IN_PLACE), 0)
        self.dead: dict[str, int] = {}
        """Dead letters by reason; reasons are words of ours."""
        self.postponed: dict[str, int] = {}
        """Copies put on the ladder since their turn was later, by what they wait for."""
        self.ran_ok = Histogram(edges.run)
        self.ran_error = Histogram(edges.run)
        self.wait = Histogram(edges.wait, 1_000)
        self.end_to_end = Histogram(edges.wait, 1_000)
        self.attempts = Histogram(edges.attempts)
        # What came since the last fold. Runs in seconds, waits and ends in milliseconds.
        self.runs: list[float] = []
        self.errors: list[float] = []
        self.waits: list[float] = []
        self.ends: list[float] = []
        self.tries: list[float] = []
        self.firsts: list[float] = []
        """Ends of jobs done at the first attempt, as nearly all are: one entry counts them as done,
        as ended, and as having used one attempt."""

    def ran(self, outcome: Outcome, seconds: float, wait_ms: float) -> None:
        """A run ended with `outcome`, or was given up as timed out."""
        wanted = outcome is DONE or not (
            isinstance(outcome, Raised | TimedOut | Crashed | DeclaredDead)
            or (isinstance(outcome, Again) and outcome.uses_attempt)
        )
        (self.runs if wanted else self.errors).append(seconds)
        self.waits.append(wait_ms)

    def failed(self, outcome: Outcome, decision: Decision) -> None:
        """A run was decided; counted if it failed."""
        match outcome:
            case Raised():
                is_last = isinstance(decision, DeadLetter) and decision.carried.reason == PERMANENT
                self.failures[PERMANENT if is_last else TRANSIENT] += 1
            case TimedOut():
                self.failures[TIMEOUT] += 1
            case Crashed():
                self.failures[CRASHED] += 1
            case DeclaredDead(reason):
                self.failures[UNDECODABLE if reason == UNDECODABLE else PERMANENT] += 1
            case Again(uses_attempt=True):
                self.failures[TRANSIENT] += 1

    def decided(self, delivery: Counted, decision: Decision, took_ms: float) -> None:
        """A decision other than a usual done is settled, `took_ms` after the job's first append."""
        carried = delivery.carried
        match decision:
            case Finish():
                self.done += 1
            case Retry(after):
                snoozed = after.snoozes > carried.snoozes
                self.settled["snoozed" if snoozed else "retry"] += 1
                self.retries[rung_for(after.delay_ms or 0)] += 1
                return
            case Postpone(after):
                self.postponed[after.waits] = self.postponed.get(after.waits, 0) + 1
                return
            case DeadLetter(after):
                self.settled["dead"] += 1
                self.dead[after.reason] = self.dead.get(after.reason, 0) + 1
            case End(state):
                self.settled[state] += 1
            case RetryInPlace():
                self.retries[IN_PLACE] += 1
                return
            case _:
                return
        self.tries.append(carried.attempt)
        self.ends.append(took_ms)

    def fold(self) -> None:
        """Show what came since the last fold."""
        firsts, self.firsts = self.firsts, []
        self.done += len(firsts)
        self.runs = _folded(self.ran_ok, self.runs)
        self.errors = _folded(self.ran_error, self.errors)
        self.waits = _folded(self.wait, self.waits)
        self.ends = _folded(self.end_to_end, self.ends + firsts)
        self.tries = _folded(self.attempts, self.tries + [1.0] * len(firsts))


def _folded(histogram: Histogram, values: list[float]) -> list[float]:
    """What is still to be counted after these were: nothing."""
    if values:
        histogram.fold(values)
    return []


class QueueMeter:
    """What is counted on one queue."""

    def __init__(self, name: str, specs: Mapping[str, JobSpec], edges: Edges) -> None:
        self.name = name
        self._specs = specs
        self._edges = edges
        self.absorbed = 0
        """Deliveries dropped because a row says that they are settled or replaced."""
        self.cut = 0
        """Runs that were cut, since their partition or their process had to go."""
        self.unknown = TypeMeter(name, UNKNOWN, edges, None)
        self.types: dict[str, TypeMeter] = {}
        """By every name that a type answers to."""
        for job_type, spec in specs.items():
            if spec.queue == name:
                self.types[job_type] = self.types.get(spec.name) or self._made(spec)

    def of(self, job_type: str) -> TypeMeter:
        """The meter of a type that was not declared on this queue: registered ones get their own.

        So there are at most as many as queues times registered types, whatever is sent.
        """
        spec = self._specs.get(job_type)
        if spec is None:
            return self.unknown
        found = self.types.get(job_type) or self.types.get(spec.name) or self._made(spec)
        self.types[job_type] = self.types[spec.name] = found
        return found

    def meters(self) -> list[TypeMeter]:
        """Each once, the unknown last. Safe from any thread."""
        return [*dict.fromkeys(list(self.types.values())), self.unknown]

    def _made(self, spec: JobSpec) -> TypeMeter:
        expect_s = None if spec.expect_ms is None else spec.expect_ms / 1000
        made = TypeMeter(self.name, spec.name, self._edges, expect_s)
        self.types[spec.name] = made
        return made


class Meter:
    """Everything that is counted about the jobs of one worker process."""

    def __init__(
        self, group: str, plans: Iterable[str], specs: Mapping[str, JobSpec], edges: Edges
    ) -> None:
        self.queues = {name: QueueMeter(name, specs, edges) for name in plans}
        self.turn = TurnMeter(group)
        self.takeovers = TakeoverMeter(self.queues, edges)
        self.publish_retries = 0
        """Settlements that were not acknowledged at once; the settling thread's."""

    def settled(self, delivery: Counted, decision: Decision, clock: Clock) -> None:
        """It is settled now. How long it took is by the broker's stamps, no producer's."""
        meter = delivery.meter or self.queues[delivery.lane.queue].unknown
        first_ms = delivery.carried.enqueued_ms
        took_ms = (
            clock.awake_s() * 1_000 - delivery.appended
            if first_ms is None
            else clock.broker_ms() - first_ms
        )
        meter.decided(delivery, decision, took_ms)

    def fold(self) -> None:
        """Show what came since the last fold; on the loop's thread, several times a second."""
        for queue in self.queues.values():
            for meter in queue.meters():
                meter.fold()
