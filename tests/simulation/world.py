"""One simulation: brokers, producers, members and what befalls them, from a seed to a verdict."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.simulation import jobs, oracle, orders, troubles
from tests.simulation.bounds import judge_bounds
from tests.simulation.fetches import FETCHED_ANEW_S
from tests.simulation.install import installed
from tests.simulation.jobs import TYPES, Work, scripts, wave_job
from tests.simulation.ledger import Ledger
from tests.simulation.member import SESSION_S, Member
from tests.simulation.network import Network
from tests.simulation.rule_judges import STILL_US
from tests.simulation.ruled import RULED, ruled_scripts, rules_of
from tests.simulation.runtime import EPOCH_US, Process, Scheduler
from tests.simulation.tenants import judge_turns, tenant_scripts
from tests.simulation.ticks import AFTERWARDS_S as WATCHED_S
from tests.simulation.ticks import Ticks
from tests.simulation.ticks import trouble as trouble_of_ticks
from tests.simulation.trace import Trace

from jobstream.errors import EnqueueError
from jobstream.testing.memory_transport import MemoryTransport
from jobstream.topics.specs import specs
from jobstream_processors import worker
from jobstream_processors.assignment import pulse
from jobstream_processors.delay import delayer, rung
from jobstream_processors.errors import OffsetOutOfRange, PublishFailed, WorkerStopped
from jobstream_processors.ports import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from tests.simulation.jobs import Script
    from tests.simulation.plan import Plan

    from jobstream.job import Job

SECOND = 1_000_000
RESTART_S = 2.0
WINDOW, NARROW_WINDOW = 40, 4
AFTERWARDS_S = 3
"""What comes after all ends is watched for so long."""
PATIENCE_S = 300.0
"""How long after the last trouble every job must have its end, beside the time that runs take.

Where they go one by one through few slots it takes longer: so long as any of them still ends.
"""
PATIENCE_S_MAX = 7_200.0
RULED_PATIENCE_S = 4_500.0
"""The same where jobs wait for turns; a hold of a job that is lost with its topic lasts an hour."""
EXPECTED_ERRORS = (PublishFailed, WorkerStopped, OffsetOutOfRange)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one seed came to."""

    seed: int
    wrong: list[str]
    digest: str
    trace: Trace
    steps: int
    virtual_s: float
    starts: int

    def told(self) -> str:
        """What was wrong, and how to see it again."""
        return "\n  ".join((f"seed {self.seed}: make chaos SEED={self.seed}", *self.wrong))


@dataclass(slots=True)
class World:
    """Everything there is in one simulation."""

    scheduler: Scheduler
    network: Network
    ledger: Ledger
    trace: Trace
    length_s: float
    poll_ms: int = 1_000
    window: int = WINDOW
    slots: int = 20
    drain_ms: int = 25_000
    rebalance_drain_ms: int = 60_000
    ticks: bool = False
    """Whether its members fire schedules."""
    members: list[Member] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    made: int = 0
    calm: bool = False
    redriving: int = 0
    """Operators who put back what was dead, and are not through."""
    conditions: frozenset[str] = frozenset()
    left_out: set[tuple[TopicPartition, int]] = field(default_factory=set)
    paused: set[tuple[str, str]] = field(default_factory=set)
    producer: Process = field(default_factory=lambda: Process("producer"))

    # -- members

    def start_member(self, *, works: bool = True, delays: bool = True) -> Member:
        rng = self.scheduler.rng
        self.made += 1
        process = Process(
            f"p{self.made}",
            wall_skew_us=troubles.wall_skew_us(self),
            slept_before_us=troubles.slept_before_us(self),
            up_us=rng.randrange(10**9, 10**12),
        )
        self.processes.append(process)
        self.trace.tell("begin", process, works, delays)
        with self.acting(process):
            member = Member(self, process, works=works, delays=delays)
        self.members.append(member)
        return member

    @contextmanager
    def acting(self, process: Process) -> Iterator[None]:
        before, self.scheduler.process = self.scheduler.process, process
        try:
            yield
        finally:
            self.scheduler.process = before

    def left(self, member: Member, error: BaseException | None) -> None:
        """A member's main coroutine is over."""
        self.trace.tell("left", member.process, repr(error) if error else "")
        if error is not None and not isinstance(error, EXPECTED_ERRORS):
            self.ledger.violation(f"{member.process} ended by {error!r}")
        self.ledger.died(member.process)
        member.process.dead = True
        self.scheduler.at(0, lambda: self._bury(member))

    def kill(self, process: Process) -> None:
        """As kill -9."""
        member = next(m for m in self.members if m.process is process)
        if process.dead:
            return
        self.trace.tell("killed", process)
        self.disturbed(SESSION_S + 10)
        process.dead = True
        self.ledger.died(process)
        self.ledger.kills += 1
        self.scheduler.at(0, lambda: self._bury(member))

    def _bury(self, member: Member) -> None:
        self.members.remove(member)
        member.kill()
        for source in member.sources:
            self.expire_later(source.member, source.group, SESSION_S)
        if member.again:
            delay_us = round(RESTART_S * SECOND * (0.5 + self.scheduler.rng.random()))
            works, delays = member.works, member.delays
            self.scheduler.at(delay_us, lambda: self.start_member(works=works, delays=delays))

    def expire_later(self, name: str, group: str, seconds: float) -> None:
        def expire() -> None:
            if name in self.network.group(group).subscriptions:
                self.trace.tell("expired", name)
                self.network.expire(name)

        self.scheduler.at(round(seconds * SECOND), expire)

    def disturbed(self, seconds: float) -> None:
        """Something is held up for so long from now on, and rightly so."""
        until = self.scheduler.now_us + round(seconds * SECOND)
        self.ledger.disturbed_us = max(self.ledger.disturbed_us, until)

    # -- producers

    def enqueue_all(self) -> None:
        """Let every job be enqueued at its time."""
        for script in self.ledger.scripts:
            if script.parent is None:
                self.scheduler.at(round(script.at_s * SECOND), partial(self._send, script))
            if script.cancelled_at_s is not None:
                at_us = round(script.cancelled_at_s * SECOND)
                self.scheduler.at(at_us, partial(self._cancel, script))

    def wave(self, count: int, *, delay_s: float = 0.0) -> None:
        """So many jobs more, all at once."""
        for _ in range(count):
            script = wave_job(self.scheduler.rng, len(self.ledger.scripts))
            script.delay_s = delay_s
            self.ledger.add(script)
            self._send(script)

    def _send(self, script: Script) -> None:
        self.scheduler.spawn(
            self.producer, f"enqueue-{script.number}", lambda: self._enqueue(script)
        )

    def _enqueue(self, script: Script) -> None:
        job, args, key = _told(script)
        enqueue = partial(
            job.enqueue,
            args,
            key=key,
            delay=f"{round(script.delay_s * 1000)}ms" if script.delay_s else None,
            expires_in=f"{round(script.expires_s)}s" if script.expires_s else None,
            # Where the key of a window makes the id, no other may.
            idempotency_key=None if rules_of(script.kind).within else str(script.number),
        )
        repeats = 2 if script.twice else 1
        while repeats:
            try:
                enqueue()
            except EnqueueError as error:
                self.trace.tell("refused", script.number, type(error).__name__)
                self.scheduler.sleep(0.2)
                continue
            repeats -= 1
            if repeats:
                self.scheduler.sleep(self.scheduler.rng.random() * 5)
        script.acknowledged = True

    def _cancel(self, script: Script) -> None:
        def tell() -> None:
            try:
                jobs.app.control.cancel(script.job_id, why="simulated", who="somebody")
            except EnqueueError:
                script.ends = script.ends | {"done", "dead"}

        self.scheduler.spawn(self.producer, "cancel", tell)

    # -- from start to end

    def is_over(self) -> bool:
        """Whether every job has come to an end."""
        ledger = self.ledger
        if ledger.wrong:
            return True  # What comes of it tells nothing more.
        if not self.calm or self.scheduler.now_us < self.length_s * SECOND:
            return False
        return not ledger.waiting and not ledger.open and not self.redriving


def play(seed: int, *, trouble: Plan | None = None) -> Verdict:
    """Play one seed from start to end."""
    scheduler = Scheduler(seed)
    rng = scheduler.rng
    plan = trouble if trouble is not None else troubles.drawn(rng)
    scheduler.hesitation = plan.hesitation
    trace = Trace(scheduler)
    network = Network(scheduler, EPOCH_US // 1_000)
    for spec in specs(jobs.app.name, [jobs.mail], 1, schedules=plan.ticks):
        compacted = "compact" in spec.configs["cleanup.policy"]
        network.create_topic(spec.name, spec.partitions, compacted=compacted)
    made = _scripts(rng, plan)
    ledger = Ledger(scheduler, trace, made)
    world = World(scheduler, network, ledger, trace, plan.length_s)
    world.window = NARROW_WINDOW if plan.narrow else WINDOW
    world.slots, world.ticks = plan.slots, plan.ticks
    world.drain_ms, world.rebalance_drain_ms = plan.drain_ms, plan.rebalance_drain_ms
    ledger.rules.is_alone = plan.members == 1 and not plan.kinds
    if plan.hesitation or plan.kinds & {"freeze", "suspend"}:
        ledger.rules.slack_us = STILL_US
    ledger.incarnation = network.topic_id
    ledger.end_of = lambda place: network.span(place)[1]
    ledger.kill = world.kill
    ticks = Ticks(ledger)
    network.appended = ticks.appended if plan.ticks else ledger.appended
    network.committing = ledger.committing
    network.polling = partial(judge_bounds, ledger)
    network.left_out = partial(world.disturbed, FETCHED_ANEW_S)
    jobs.Stage.ledger = ledger
    with installed(scheduler), paced(plan), narrowed(plan), quiet():
        jobs.app.bind(MemoryTransport(network))
        try:
            troubles.begin(world, plan)
            orders.begin(world, plan)
            if plan.ticks:
                trouble_of_ticks(world, rng, plan.length_s)
            scheduler.at(round(plan.length_s * SECOND), lambda: troubles.heal(world))
            world.enqueue_all()
            patience_s = RULED_PATIENCE_S if plan.ruled else PATIENCE_S
            patience_s += 2 * sum(run.seconds for each in made for run in each.runs)
            over = _comes_to_its_end(world, plan.length_s + patience_s)
            if not ledger.wrong:
                _judge_the_end(world, plan, ticks, over=over)
        finally:
            for member in world.members:
                member.process.dead = True
            for member in world.members:
                member.kill()
            scheduler.close([*world.processes, world.producer, scheduler.world])
            jobs.app.bind(None)
    return Verdict(
        seed,
        ledger.wrong,
        trace.digest(),
        trace,
        scheduler.steps,
        scheduler.now_us / SECOND,
        sum(map(len, ledger.starts.values())),
    )


def _judge_the_end(world: World, plan: Plan, ticks: Ticks, *, over: bool) -> None:
    watched_s = WATCHED_S if plan.ticks else AFTERWARDS_S
    world.scheduler.run(lambda: False, world.scheduler.now_us + watched_s * SECOND)
    oracle.judge(world, over=over)
    if plan.ticks:
        ticks.judge()
    if plan.tenants:
        judge_turns(world.ledger)


def _scripts(rng: Random, plan: Plan) -> list[Script]:
    if plan.tenants:
        return tenant_scripts(rng, plan.jobs)
    if plan.ruled:
        return ruled_scripts(rng, plan.jobs, plan.length_s, later=bool(plan.orders))
    return scripts(rng, plan.jobs, plan.length_s, poison=plan.poison)


def _comes_to_its_end(world: World, limit_s: float) -> bool:
    """Let all jobs come to their ends; False where none does any more."""
    while not world.scheduler.run(world.is_over, round(limit_s * SECOND)):
        ends_us = [at for each in world.ledger.rules.ended_us.values() for at in each]
        since_us = (limit_s - PATIENCE_S) * SECOND
        if limit_s > PATIENCE_S_MAX or max(ends_us, default=0) < since_us:
            return False
        limit_s += PATIENCE_S
    return True


def _told(script: Script) -> tuple[Job[Any, None], object, str | None]:
    """The job type, the args, and the key that is given beside them."""
    if script.args is None:
        return TYPES[script.kind], Work(script.number, script.group or 0), script.key
    return RULED[script.kind], script.args, None


@contextmanager
def paced(plan: Plan) -> Iterator[None]:
    """Slower ticks than a worker's: nothing is decided by them, and they cost most."""
    before = worker.TICK_S, worker.POLL_S, pulse.BEAT_S
    worker.TICK_S, worker.POLL_S, pulse.BEAT_S = plan.tick_s, 1.0, 1.0
    try:
        yield
    finally:
        worker.TICK_S, worker.POLL_S, pulse.BEAT_S = before


@contextmanager
def narrowed(plan: Plan) -> Iterator[None]:
    """Bounds so small that a few jobs reach them."""
    before = rung.RECORDS_MAX, rung.EXACT_RECORDS_MAX, delayer.HOPS_MAX
    if plan.narrow:
        rung.RECORDS_MAX, rung.EXACT_RECORDS_MAX, delayer.HOPS_MAX = 2, 8, 4
    try:
        yield
    finally:
        rung.RECORDS_MAX, rung.EXACT_RECORDS_MAX, delayer.HOPS_MAX = before


@contextmanager
def quiet() -> Iterator[None]:
    """The product's log is no part of the trace."""
    loggers = [logging.getLogger(name) for name in ("jobstream", "asyncio", "jobs")]
    before = [each.disabled for each in loggers]
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)
        for each, was in zip(loggers, before, strict=True):
            each.disabled = was
