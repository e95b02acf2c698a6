"""Joins the parts of a worker, in one place: for a worker process, and for one in memory.

What the two do not share is who carries things from one part to the next, threads and queues or
one turn after the other. That is `Carriers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from jobstream_processors.assignment.driver import Driver
from jobstream_processors.assignment.feed import Feed
from jobstream_processors.assignment.mirror import MirrorThread
from jobstream_processors.assignment.pressure import Limits
from jobstream_processors.assignment.pulse import Pulse
from jobstream_processors.assignment.skipped import Lookout
from jobstream_processors.assignment.takeover import Takeover
from jobstream_processors.engine.admission import all_gates
from jobstream_processors.engine.engine import Engine
from jobstream_processors.engine.gates.fair import Turnstile
from jobstream_processors.engine.gates.limit import JobLimits
from jobstream_processors.engine.gates.outage import Breakers, TellOpening
from jobstream_processors.engine.intake import Intake
from jobstream_processors.engine.judge import Judge
from jobstream_processors.engine.unfinished import left, remains
from jobstream_processors.execute.bars import Bars
from jobstream_processors.execute.by_weight import line_for
from jobstream_processors.execute.on_loop import LoopExecutor
from jobstream_processors.execute.on_processes import ProcessExecutor
from jobstream_processors.execute.on_threads import ThreadExecutor
from jobstream_processors.execute.running import Barred, Ended, Executes
from jobstream_processors.job_types import (
    ASYNC,
    PROCESS,
    THREAD,
    JobSpec,
    slots_by_executor,
    slots_of,
)
from jobstream_processors.meter import Meter
from jobstream_processors.ports import Clock, Listener, Log, Sink, Source
from jobstream_processors.queue_plan import QueuePlan
from jobstream_processors.settle.deaths_told import Died, TellingSettler
from jobstream_processors.settle.ends_aside import EndsAside
from jobstream_processors.settle.letter_closer import Closer
from jobstream_processors.settle.settler import Settler
from jobstream_processors.watch.reports import Failed, Reports
from jobstream_processors.watch.tracing import UNTRACED, Tracing
from jobstream_schemas import Catalogue

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from jobstream_processors.assignment.driver import Remains
    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.delivery import Decided
    from jobstream_processors.execute.line_of_queues import SlotLine
    from jobstream_processors.settle.key_rows import AsksEnd
    from jobstream_processors.settle.thread import Settles

Neighbours = tuple[Executes, Executes]
"""The executors that run handlers on the event loop and in threads."""
MakeEnds = Callable[[Log, Callable[[BaseException], object]], "AsksEnd"]
MakeChildren = Callable[["Parts", Ended, Barred, Neighbours], Executes]


def child_processes(parts: Parts, ended: Ended, barred: Barred, _: Neighbours) -> Executes:
    """The executor of handlers that want a process of their own."""
    return ProcessExecutor(
        parts.children,
        ended,
        barred,
        parts.child_begins,
        machine=parts.clock,
        enter=parts.tracing.enter_child,
        line=parts.line(),
        leave_s=parts.children_leave_s,
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a worker is made of; a role fills it in."""

    specs: Mapping[str, JobSpec]
    plans: Mapping[str, QueuePlan]
    catalogue: Catalogue
    source: Callable[[Listener], Source]
    """Joins the group; called on the thread that polls."""
    sink: Sink
    takeover: Takeover
    reader: Log
    clock: Clock
    pulse: Pulse
    limits: Limits = field(default_factory=Limits)
    concurrency: int = 200
    children: int = 4
    child_begins: Callable[[], None] | None = None
    """What a child process does first; it is pickled."""
    children_leave_s: Callable[[], float] | None = None
    """How long child processes may take to do what is left to do at their end; None: nothing is."""
    make_children: MakeChildren = child_processes
    closer_s: float = 5.0
    """How often dead letters are looked at that a redrive or a late success closed."""
    make_ends: MakeEnds = EndsAside
    """Makes what asks for ends of logs while it settles."""
    tracing: Tracing = UNTRACED
    meter: Meter | None = None
    name: str = ""
    """`host:pid`: how operators tell it to be quiet."""
    ready: Callable[[], object] | None = None
    """Called whenever all that is assigned has come to be served; on the thread that polls."""
    failed: Failed | None = None
    died: Died | None = None
    """Hears of each job that died for good, once its letter is acknowledged."""
    tracebacks: bool = False
    """Log the traceback of every failed run, not only at a death."""
    give_up: Callable[[BaseException], object] | None = None
    """Ends this process from any thread while a handler holds the loop; None: impossible."""
    tell_opening: TellOpening | None = None
    """Tells the other processes that a breaker opened here."""
    stuck_max: int = 100
    """Runs past their time limit that still hold a slot, before the process is to be replaced."""
    strict: bool = False
    """Serve the queues in the order of `plans`, in place of sharing slots by weight."""

    def line(self) -> SlotLine:
        """Where deliveries wait for the slots of one executor."""
        return line_for(self.plans, self.clock.awake_s, strict=self.strict)


class Carriers(Driver, Protocol):
    """Carries things from one part of a worker to the next. It also drives the feed."""

    def settling(self, settler: Settles) -> Callable[[list[Decided]], None]:
        """What is called with decisions that `settler` is to make durable; it returns at once."""

    def ask(self, question: Callable[[], object]) -> object:
        """Call `question`, which may block, off the event loop."""

    def announced(self, lanes: list[tuple[Lane, int]]) -> None:
        """Mirrors have announced how far these lanes may begin. Called on any thread."""

    def without_table(self, error: BaseException) -> None:
        """A dedup table can't be written any more. Called by what settles."""

    def failed(self, error: BaseException) -> None:
        """A thread of the worker has ended by this error."""


class Assembly:
    """The parts of one worker, joined. Made on the event loop's thread."""

    def __init__(self, parts: Parts, loop: asyncio.AbstractEventLoop, carriers: Carriers) -> None:
        self._clock = clock = parts.clock
        tracing, meter = parts.tracing, parts.meter
        ends = parts.make_ends(parts.reader, carriers.failed)
        settler = Settler(parts.sink, parts.plans, clock, carriers.without_table, ends=ends)
        settles = settler if parts.died is None else TellingSettler(settler, parts.died)
        put = carriers.settling(tracing.settler(settles))
        intake = Intake(parts.catalogue, clock, tracing.received)
        self.judge = judge = Judge(parts.specs, parts.catalogue, clock)
        breakers = [spec.breaker for spec in parts.specs.values() if spec.breaker is not None]
        self.breakers = Breakers(breakers, clock.broker_ms, parts.tell_opening)
        slots = slots_by_executor(parts.concurrency, parts.children)
        turnstile = Turnstile(slots, parts.limits.window, clock.awake_s)
        gates = all_gates(self.breakers, JobLimits(clock), turnstile)
        self.engine = Engine(intake, judge, clock, tracing.put(put), loop, meter, gates)
        self.feed = Feed(
            parts.plans,
            carriers,
            clock,
            parts.pulse,
            parts.limits,
            known_id=parts.reader.known_id,
            is_late=settler.is_late,
            meter=meter,
            ready=parts.ready,
        )
        lookout = Lookout(parts.reader, loop, carriers.ask, self.feed.verdicts)
        self.executors = self._executors(parts)
        reports = Reports(clock.monotonic_ms, parts.failed, tracebacks=parts.tracebacks)
        self.engine.run_on(self.executors, reports, lookout)
        self.mirrors = MirrorThread(
            parts.takeover.mirror,
            self.feed.served,
            parts.limits.commit_ms / 1000,
            carriers.failed,
            carriers.announced,
        )
        served = [spec for spec in parts.specs.values() if spec.queue in parts.plans]
        self.slots = slots_of(served, parts.concurrency, parts.children)
        """How many handlers run at once, all executors together."""
        self.engine.horizon.announce_by(self.mirrors.wake, self.slots)
        self.closer = Closer(parts.plans, parts.reader, parts.sink, self.feed.served)

    def _executors(self, parts: Parts) -> dict[str, Executes]:
        ended, returned = parts.tracing.ended(self.engine.ended), self.engine.returned
        clock, enter, many = parts.clock, parts.tracing.enter, parts.concurrency
        bars = Bars(clock, parts.pulse.is_lost)
        on_loop = LoopExecutor(
            many, ended, returned, bars, machine=clock, enter=enter, line=parts.line()
        )
        in_threads = ThreadExecutor(
            many, ended, returned, bars, machine=clock, enter=enter, line=parts.line()
        )
        children = parts.make_children(parts, ended, bars, (on_loop, in_threads))
        return {ASYNC: on_loop, THREAD: in_threads, PROCESS: children}

    # -- what the feed wants of the engine

    def drain(self, lanes: Sequence[Lane]) -> None:
        """Start nothing more of the lanes; what runs goes on, and settles."""
        for lane in lanes:
            self.engine.drain(lane)
        self.engine.flush()

    def remains(self, lanes: Sequence[Lane]) -> Remains:
        """What of draining lanes is not through yet."""
        return remains(self.engine.under_way(lanes))

    def cut(self, lanes: Sequence[Lane]) -> None:
        """Stop what runs of the lanes, where that is possible."""
        for lane in lanes:
            self.engine.cut(lane)

    def part_with(self, lanes: Sequence[Lane]) -> None:
        """End the lanes; each knows afterwards what its next owner must learn."""
        for lane in lanes:
            lane.leave(left(lane, self.engine.unfinished(lane), self._clock))
            self.engine.end(lane)

    def end(self, lanes: Sequence[Lane]) -> None:
        """End the lanes at once."""
        for lane in lanes:
            self.engine.end(lane)
