"""The job types that are measured, on one queue of an app whose name each measurement chooses.

Handlers do nothing, wait, or note when they started. It starts nothing and connects to nothing.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobstream import App, Limit, Unique
from jobstream_processors.core.ladder import RUNGS

if TYPE_CHECKING:
    from jobstream.job import Job
    from jobstream.job_queue import Queue

QUEUE = "work"
WAIT_S = 0.020
KEYED_S = 0.005
KEYS = 100
BURN_S = 0.005
QUIET = "quiet"
PER_TENANT = (
    Limit(rate="1000000/s", burst=1_000_000, per="text"),
    Limit(concurrency=10_000, per="text"),
)
"""Limits that hold nothing up."""
STARTS: list[tuple[int, int, int]] = []
"""Of each `stamp` job, and of a quiet tenant's: its number, wall clock and monotonic clock at its
start, in nanoseconds."""


@dataclass(frozen=True)
class Note:
    """The arguments of every job here: as small as a real job's may be."""

    n: int
    text: str


async def noop_async(args: Note) -> None:
    """Do nothing, on the loop."""


def noop_sync(args: Note) -> None:
    """Do nothing, in a thread."""


def noop_process(args: Note) -> None:
    """Do nothing, in a process."""


def burn(_args: Note) -> None:
    """Use a core for a while."""
    until = time.thread_time() + BURN_S
    while time.thread_time() < until:
        pass


async def wait(_args: Note) -> None:
    """Wait as for an answer from elsewhere."""
    await asyncio.sleep(WAIT_S)


async def keyed(_args: Note) -> None:
    """Wait, one at a time per key."""
    await asyncio.sleep(KEYED_S)


async def stamp(args: Note) -> None:
    """Note the time."""
    STARTS.append((args.n, time.time_ns(), time.monotonic_ns()))


async def tenant(args: Note) -> None:
    """Wait as for an answer from elsewhere; note the time if the tenant is the quiet one."""
    if args.text == QUIET:
        STARTS.append((args.n, time.time_ns(), time.monotonic_ns()))
    await asyncio.sleep(WAIT_S)


class Bench:
    """An app with every job type of this module on one queue, and no-op jobs on any others.

    `slim` makes the rungs of its ladder one partition each: they take no part in what is measured,
    and a broker has to bear them.
    """

    def __init__(self, name: str, partitions: int, queues: int = 1, *, slim: bool = False) -> None:
        self.app, self.slim = App(name), slim
        rungs = dict.fromkeys(RUNGS, 1) if slim else None
        names = [QUEUE, *(f"{QUEUE}-{number}" for number in range(2, queues + 1))]
        self.queues = [self.app.queue(n, partitions=partitions, rungs=rungs) for n in names]
        self.queue: Queue = self.queues[0]
        job = self.app.job
        self.types: dict[str, Job[Note, Any]] = {
            "async": job(queue=self.queue)(noop_async),
            "sync": job(queue=self.queue)(noop_sync),
            "process": job(queue=self.queue, executor="process")(noop_process),
            "burn": job(queue=self.queue, executor="process")(burn),
            "wait": job(queue=self.queue)(wait),
            "keyed": job(queue=self.queue)(keyed),
            "stamp": job(queue=self.queue)(stamp),
            "tenants": job(queue=self.queue, name="tenants")(tenant),
            "limited": job(queue=self.queue, name="limited", limits=PER_TENANT)(noop_async),
            "ruled": job(
                queue=self.queue,
                name="ruled",
                unique=Unique(by=("text", "n")),
                limits=PER_TENANT,
                fair_by="text",
            )(noop_async),
            "fair": job(queue=self.queue, name="fair", fair_by="text")(tenant),
        }
        self.noops: list[Job[Note, Any]] = [
            self.types["async"],
            *(job(queue=q, name=f"noop_{q.name}")(noop_async) for q in self.queues[1:]),
        ]
        """The no-op jobs of each queue."""

    @property
    def topic(self) -> str:
        """The queue's topic."""
        return self.app.plan(self.queue).topic


def notes(count: int) -> list[Note]:
    """Arguments of `count` jobs."""
    return [Note(n, "hello") for n in range(count)]
