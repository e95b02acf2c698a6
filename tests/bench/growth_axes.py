"""What grows, and what is measured of it: one function for each axis of `tests.bench.growth`.

Each yields a point as soon as it has it. Workers run no-op jobs unless it says otherwise; rate and
CPU a job are of the settled jobs, by the kernel's account.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench import growth_table
from tests.bench.jobs import WAIT_S, Note
from tests.bench.picture import Panel
from tests.bench.rig import ROOT, Rig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.bench.jobs import Bench
    from tests.bench.worker import Report

Point = tuple[float, dict[str, float]]
"""A place on the axis, and what was measured there."""

CHUNK = 250_000
TABLE_LIMIT_S = 1_200.0
JOBS = 200_000
RATE, CPU, PEAK, WORK = "jobs/s", "CPU µs a job", "peak MB", "MB at work"


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that grows."""

    title: str
    along: str
    full: Sequence[int]
    small: Sequence[int]
    measure: Callable[[Rig, Sequence[int]], Iterator[Point]]
    panels: Sequence[tuple[str, Sequence[str]]]
    """What each plot is called, and which values are its curves."""

    def drawn(self, points: Sequence[Point]) -> list[Panel]:
        """The plots of what was measured."""
        return [
            Panel(
                what,
                {key: [(x, found[key]) for x, found in points if key in found] for key in keys},
            )
            for what, keys in self.panels
        ]


def backlog(rig: Rig, sizes: Sequence[int]) -> Iterator[Point]:
    """That many jobs wait; the first of them are run."""
    for size in sizes:
        bench = rig.bench(f"backlog-{size}", slim=True)
        fill(bench, size)
        yield size, of(rig.work(bench, min(size, JOBS)))
        rig.drop(bench)


def partitions(rig: Rig, counts: Sequence[int]) -> Iterator[Point]:
    """One worker has them all; measured once it serves the last."""
    for count in counts:
        bench = rig.bench(f"partitions-{count}", count, slim=True)
        fill(bench, 2 * JOBS)
        report = rig.work(bench, 2 * JOBS, served=count)
        # Where so many tables take their time, little may be left to be measured afterwards.
        yield count, of(report) | {"all served s": report.served_s}
        rig.drop(bench)


def queues(rig: Rig, counts: Sequence[int]) -> Iterator[Point]:
    """Four partitions each; the jobs are shared out."""
    for count in counts:
        bench = rig.bench(f"queues-{count}", 4, count, slim=True)
        for job in bench.noops:
            job.enqueue_many(Note(n, "hello") for n in range(JOBS // count))
        report = rig.work(bench, JOBS // count * count, served=4 * count)
        yield count, of(report) | {"all served s": report.served_s}
        rig.drop(bench)


def payload(rig: Rig, sizes: Sequence[int]) -> Iterator[Point]:
    """Args of so many bytes."""
    for size in sizes:
        bench = rig.bench(f"payload-{size}", slim=True)
        count = min(JOBS, 400_000_000 // size)
        text = "x" * size
        bench.types["async"].enqueue_many(Note(n, text) for n in range(count))
        found = of(rig.work(bench, count))
        yield size, found | {"MB/s": found[RATE] * size / 1e6}
        rig.drop(bench)


def concurrency(rig: Rig, slots: Sequence[int]) -> Iterator[Point]:
    """Jobs that wait 20 ms, so many at once."""
    for count in slots:
        ideal = count / WAIT_S
        bench = rig.bench(f"concurrency-{count}", slim=True)
        jobs = int(min(JOBS, 6 * ideal))
        bench.types["wait"].enqueue_many(Note(n, "hello") for n in range(jobs))
        found = of(rig.work(bench, jobs, JOBSTREAM_CONCURRENCY=str(count)))
        yield count, found | {"of the ideal %": 100 * found[RATE] / ideal}
        rig.drop(bench)


def table(rig: Rig, sizes: Sequence[int]) -> Iterator[Point]:
    """The dedup table of one partition has so many rows."""
    bench, written = rig.bench("table", 1, slim=True), 0
    for size in sizes:
        growth_table.write(bench.app.plan(bench.queue).dedup, written, size - written)
        written = size
        told = {"app": bench.app.name, "rows": size, "state": str(rig.folder / f"table-{size}")}
        argv = [sys.executable, "-m", "tests.bench.growth_table", json.dumps(told)]
        done = subprocess.run(
            argv, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=TABLE_LIMIT_S
        )
        found: dict[str, float] = json.loads(done.stdout)
        yield size, found | {"rows/s": size / found["restored s"]}
    rig.drop(bench)


def fill(bench: Bench, count: int) -> None:
    """Enqueue no-op jobs; of ten millions not even the ids are kept."""
    for first in range(0, count, CHUNK):
        some = range(first, min(count, first + CHUNK))
        bench.types["async"].enqueue_many(Note(n, "hello") for n in some)


def of(report: Report) -> dict[str, float]:
    """What every axis tells of a worker."""
    used = sum(s for thread, s in report.cpu.items() if thread != "bench-meter")
    return {
        RATE: report.jobs / report.seconds,
        CPU: used / max(1, report.jobs) * 1e6,
        WORK: max(report.resident_mb, default=0.0),
        PEAK: report.peak_mb,
    }


WORKER = ((RATE, [RATE]), (CPU, [CPU]), ("MB", [WORK, PEAK]))
SERVING = (*WORKER, ("seconds until all is served", ["all served s"]))
TABLE = (
    ("rows/s restored", ["rows/s"]),
    ("CPU µs a restored row", ["CPU µs a row", "compacting µs a row"]),
    ("µs CPU a look-up", ["known µs", "unknown µs"]),
    ("seconds to open again", ["opened again s"]),
    ("MB of the table", ["table MB"]),
)
TENS = tuple(10**power for power in range(4, 8))
AXES: Mapping[str, Axis] = {
    "backlog": Axis("Jobs that wait", "jobs waiting", TENS, TENS[:2], backlog, WORKER),
    "partitions": Axis(
        "Partitions of one worker",
        "partitions",
        (1, 4, 12, 50, 100, 200, 500),
        (1, 12),
        partitions,
        SERVING,
    ),
    "queues": Axis(
        "Queues of one worker, four partitions each",
        "queues",
        (1, 2, 5, 10, 20),
        (1, 5),
        queues,
        SERVING,
    ),
    "payload": Axis(
        "Size of the args",
        "bytes",
        (100, 1_000, 10_000, 100_000),
        (100, 10_000),
        payload,
        (*WORKER, ("MB of args/s", ["MB/s"])),
    ),
    "concurrency": Axis(
        "Jobs of 20 ms at once",
        "concurrency",
        (10, 100, 1_000, 10_000),
        (10, 100),
        concurrency,
        (*WORKER, ("% of the ideal", ["of the ideal %"])),
    ),
    "table": Axis("Rows in a partition's dedup table", "rows", TENS, TENS[:2], table, TABLE),
}
