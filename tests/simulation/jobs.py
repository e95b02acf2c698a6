"""The app whose jobs are run, and what each job is to do: all drawn from the seed beforehand.

A handler looks up its script by the number in its args, tells the ledger when it begins and ends,
and waits in virtual time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, ClassVar, Protocol

from tests.simulation.primitives import here

from jobstream import App, Backoff, Breaker, Context, EnqueueError, Snooze, Unique
from jobstream_processors.core import identity
from jobstream_schemas import Catalogue

if TYPE_CHECKING:
    from tests.simulation.ledger import Ledger

    from jobstream.job import Job
    from jobstream_schemas.reader import Reader

PARTITIONS = 3
TIMEOUT_S = 20.0

app = App("sim", session_timeout="6s", heartbeat="1s")
mail = app.queue(
    "mail",
    partitions=PARTITIONS,
    rungs=dict.fromkeys(("0s", "5s", "30s", "2m", "10m", "1h", "6h", "1d"), 1),
)


@dataclass(frozen=True, slots=True)
class Work:
    number: int
    group: int = 0
    """Jobs of one group are the same, where the type says so."""


class Numbered(Protocol):
    """Args that name the script of their job."""

    @property
    def number(self) -> int:
        """The number of the script."""


class Judged:
    """Registers schemas for all members: one that is known is not judged again for each of them."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._texts: dict[str, Reader] = {}

    def register(self, schema: str) -> Reader:
        """As a catalogue does, by JSON alone."""
        if (reader := self._texts.get(schema)) is None:
            reader = self._texts[schema] = self._catalogue.register(schema)
        return reader


class Transient(Exception):
    """A failure that a repeat mends."""


class Permanent(Exception):
    """A failure that no repeat mends."""


class Crash(BaseException):
    """Stands for a handler that takes its process along."""


OK, FAIL, PERMANENT, HANG, CRASH, SNOOZE = "ok", "fail", "permanent", "hang", "crash", "snooze"


@dataclass(frozen=True, slots=True)
class Run:
    """What one attempt does."""

    end: str
    seconds: float


@dataclass(slots=True)
class Script:
    """What one job is to do in the course of its life."""

    number: int
    kind: str
    runs: tuple[Run, ...]
    """By attempt; the last one goes on."""
    snoozes: int = 0
    """So many runs come before, which use no attempt."""
    children: tuple[int, ...] = ()
    """What each run enqueues."""
    parent: int | None = None
    at_s: float = 0.0
    """When it is enqueued, if it is no child."""
    delay_s: float = 0.0
    key: str | None = None
    group: int | None = None
    """Of a unique job."""
    expires_s: float | None = None
    twice: bool = False
    """The producer repeats the enqueue."""
    cancelled_at_s: float | None = None
    ends: frozenset[str] = field(default_factory=frozenset)
    """How it may end."""
    acknowledged: bool = False
    """Its enqueue returned."""
    job_id: str = ""
    args: Numbered | None = None
    """Where its type has others than the usual ones."""

    def __post_init__(self) -> None:
        """Its id is that of its idempotency key, unless it has a parent's."""
        self.job_id = self.job_id or identity.from_caller(self.kind, str(self.number))

    def run(self, attempt: int) -> Run:
        return self.runs[min(attempt, len(self.runs)) - 1]


SNOOZE_S = 3
FAMILIES = 0.3
"""How often jobs have children."""
LONG_S = (4.0, 17.0)
"""How long long runs take."""
RETRY = Backoff(attempts=4, first="3s", factor=3, cap="40s", dead_on=(Permanent,))


OUTSIDE = Breaker("outside", least=3, window="30s", open="2s", open_max="10s", probes=2)


class Stage:
    """The ledger of the simulation that is running."""

    ledger: ClassVar[Ledger]


async def on_loop(args: Numbered, ctx: Context) -> None:
    run, start = Stage.ledger.began(args.number, ctx)
    try:
        await asyncio.sleep(run.seconds)  # work
        await enqueue_children(args.number, ctx)
    except asyncio.CancelledError:
        Stage.ledger.cut(start)
        raise
    Stage.ledger.ended(start, run)
    _finish(run)


async def enqueue_children(number: int, ctx: Context) -> None:
    """Enqueue what the job's script says, each until it is acknowledged."""
    for child in Stage.ledger.children(number):
        while True:
            try:
                name = str(child.number)
                await ctx.aenqueue(TYPES[child.kind], Work(child.number), child_name=name)
            except EnqueueError:
                await asyncio.sleep(0.2)  # work
            else:
                child.acknowledged = True
                break


def in_thread(args: Numbered, ctx: Context) -> None:
    run, start = Stage.ledger.began(args.number, ctx)
    here().sleep(run.seconds)  # work
    for child in Stage.ledger.children(args.number):
        while True:
            try:
                ctx.enqueue(TYPES[child.kind], Work(child.number), child_name=str(child.number))
            except EnqueueError:
                here().sleep(0.2)  # work
            else:
                child.acknowledged = True
                break
    Stage.ledger.ended(start, run)
    _finish(run)


def _finish(run: Run) -> None:
    if run.end == FAIL:
        raise Transient
    if run.end == PERMANENT:
        raise Permanent
    if run.end == SNOOZE:
        raise Snooze(SNOOZE_S)
    if run.end == CRASH:
        raise Crash


@app.job(queue=mail, retry=RETRY, timeout=TIMEOUT_S)
async def quick(args: Work, ctx: Context) -> None:
    await on_loop(args, ctx)


@app.job(queue=mail, retry=RETRY, timeout=TIMEOUT_S, on_failure="hold_key")
async def held(args: Work, ctx: Context) -> None:
    await on_loop(args, ctx)


@app.job(queue=mail, retry=RETRY, timeout=TIMEOUT_S)
def sync(args: Work, ctx: Context) -> None:
    in_thread(args, ctx)


@app.job(queue=mail, retry=RETRY, timeout=TIMEOUT_S, on_failure="hold_key")
def sync_held(args: Work, ctx: Context) -> None:
    in_thread(args, ctx)


@app.job(queue=mail, retry=RETRY, timeout=TIMEOUT_S, unique=Unique(by="group"))
async def only(args: Work, ctx: Context) -> None:
    await on_loop(args, ctx)


@app.job(queue=mail, retry=RETRY, timeout=TIMEOUT_S, breaker=OUTSIDE)
async def calling(args: Work, ctx: Context) -> None:
    await on_loop(args, ctx)


@app.job(queue=mail, retry=RETRY, timeout=TIMEOUT_S, executor="process")
def heavy(args: Work, ctx: Context) -> None:
    raise NotImplementedError((args, ctx))  # Played by the executor of the simulation.


@app.job(queue=mail, retry=RETRY, timeout=TIMEOUT_S)
async def poison(args: Work, ctx: Context) -> None:
    run, start = Stage.ledger.began(args.number, ctx)
    try:
        await asyncio.sleep(run.seconds)  # work
    except asyncio.CancelledError:
        Stage.ledger.cut(start)
        raise
    Stage.ledger.ended(start, run)
    Stage.ledger.take_along(start)
    await asyncio.sleep(1_000)  # work


TYPES: dict[str, Job[Work, None]] = {job.name: job for job in app.jobs.values()}
SPECS = app.specs()
CATALOGUE = Catalogue()
JUDGED = Judged(CATALOGUE)
for _schema in app.schemas():
    CATALOGUE.register(_schema)


def scripts(rng: Random, count: int, length_s: float, *, poison: bool) -> list[Script]:
    """What `count` jobs are to do, enqueued over `length_s`."""
    made: list[Script] = []
    keys = [f"key-{number}" for number in range(rng.choice((1, 2, 5)))]
    long = rng.random() < 0.4
    delayed = rng.choice((0.0, 0.2, 0.6))
    failing = rng.choice((0.0, 0.2, 0.5, 0.9))
    keyed = rng.choice((0.0, 0.3, 0.8))
    burst = rng.random() < 0.4
    snoozing = rng.choice((0.0, 0.0, 0.2))
    for number in range(count):
        kind = rng.choice(("quick", "quick", "held", "sync", "sync_held", "heavy"))
        made.append(
            Script(
                number=number,
                kind=kind,
                runs=_runs(rng, failing, long=long),
                snoozes=rng.choice((1, RETRY.attempts)) if rng.random() < snoozing else 0,
                at_s=(0.5 if burst else rng.random() * length_s),
                delay_s=_delay(rng) if rng.random() < delayed else 0.0,
                key=rng.choice(keys) if rng.random() < keyed else None,
                expires_s=rng.choice((5.0, 30.0)) if rng.random() < 0.05 else None,
                twice=rng.random() < 0.1,
                cancelled_at_s=rng.random() * length_s if rng.random() < 0.04 else None,
            )
        )
    if rng.random() < FAMILIES:
        for parent in [each for each in made if each.kind != "heavy" and rng.random() < 0.3]:
            made.append(_child(rng, parent, len(made)))
    if poison:
        made.append(Script(len(made), "poison", (Run(CRASH, 0.2),), at_s=rng.random() * length_s))
    _make_unique(made)
    _make_calling(made)
    for script in made:
        script.ends = ends_of(script)
    return made


def _make_unique(made: list[Script]) -> None:
    """Some that nothing else binds become unique jobs of few groups, in a third of all seeds."""
    # Drawn apart, so that seeds mean for all other jobs what they always meant.
    rng = Random(str([script.at_s for script in made]))
    groups = rng.choice((0, 0, 0, 1, 2, 5))
    for script in made:
        free = script.kind == "quick" and script.key is None and not script.children
        if groups and free and script.parent is None:
            script.kind, script.group = "only", rng.randrange(groups)
            script.job_id = identity.from_caller(script.kind, str(script.number))


def _make_calling(made: list[Script]) -> None:
    """Some of the quick ones call what a breaker guards, in a third of all seeds."""
    rng = Random(str([script.delay_s for script in made]))  # Drawn apart, as above.
    share = rng.choice((0.0, 0.0, 0.0, 0.0, 0.5, 1.0))
    for script in made:
        free = script.kind == "quick" and script.parent is None and not script.children
        if free and rng.random() < share:
            script.kind = "calling"
            script.job_id = identity.from_caller(script.kind, str(script.number))


def _child(rng: Random, parent: Script, number: int) -> Script:
    kind = rng.choice(("quick", "sync"))
    job_id = identity.from_parent(parent.job_id, kind, str(number), 0)
    parent.children = (*parent.children, number)
    run = Run(OK, rng.choice((0.0, 0.3)))
    return Script(number, kind, (run,), parent=parent.number, job_id=job_id)


def wave_job(rng: Random, number: int) -> Script:
    """A short job that is done at its first attempt."""
    script = Script(number, rng.choice(("quick", "sync")), (Run(OK, rng.choice((0.0, 0.3))),))
    script.ends = ends_of(script)
    return script


def _delay(rng: Random) -> float:
    return rng.choice((0.5, 3.0, 6.0, 8.0, 12.0, 33.0))


def _runs(rng: Random, failing: float, *, long: bool) -> tuple[Run, ...]:
    runs: list[Run] = []
    while rng.random() < failing and len(runs) < RETRY.attempts:
        seconds = _seconds(rng, long=long)
        end = rng.choices((FAIL, PERMANENT, HANG), (20, 2, 1))[0]
        runs.append(Run(end, TIMEOUT_S + rng.choice((1.5, 4.0)) if end == HANG else seconds))
        if end == PERMANENT:
            return tuple(runs)
    runs.append(Run(OK, _seconds(rng, long=long)))
    return tuple(runs)


def _seconds(rng: Random, *, long: bool) -> float:
    if long and rng.random() < 0.3:
        return rng.uniform(*LONG_S)
    return rng.choice((0.0, 0.01, 0.05, 0.3, 1.0))


def ends_of(script: Script) -> frozenset[str]:
    if script.kind == "poison":
        ends = {"dead"}
    else:
        lives = [run.end for run in script.runs[: RETRY.attempts]]
        ends = {"done" if lives[-1] == OK else "dead"}
        if len(script.runs) > RETRY.attempts:
            ends = {"dead"}
    if script.children:
        ends.add("dead")  # It waits for its children to be taken, and may be too late for it.
    if script.group is not None:
        ends |= {"duplicate", "dead"}  # Refused, if it is redriven while another holds its key.
    if script.expires_s is not None:
        ends.add("expired")
    if script.cancelled_at_s is not None:
        ends.add("cancelled")
    return frozenset(ends)
