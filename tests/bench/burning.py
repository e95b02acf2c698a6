"""Jobs of 5 ms on a core each, in child processes, beside a bare process for each core."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.jobs import BURN_S, Note, burn
from tests.bench.report import Figure, per_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.rig import Rig

GOAL = 0.95


def measure(rig: Rig) -> Iterator[Figure]:
    """Three rounds (one if quick), each beside bare processes on the same machine in turn."""
    count, rounds = rig.size(6_000, 2_000), rig.size(3, 1)
    ours, bares, used = [], [], ""
    for number in range(rounds):
        bench = rig.filled(f"burning-{number}", "burn", count)
        bares.append(_bare(count))
        report = rig.work(bench, count)
        rig.drop(bench)
        ours.append(report.jobs / report.seconds)
        used = per_job({**report.cpu, "children": report.cpu_children}, report.jobs)
    ratios = [rate / bare for rate, bare in zip(ours, bares, strict=True)]
    every = ", ".join(f"{ratio:.1%}" for ratio in ratios)
    cores = _cores()
    yield Figure(
        f"bare processes that burn {BURN_S * 1_000:.0f} ms, {cores}", median(bares), "jobs/s"
    )
    yield Figure(
        f"jobs of {BURN_S * 1_000:.0f} ms on a core, in children",
        median(ours),
        "jobs/s",
        f"{median(ratios):.1%} of the bare processes (rounds: {every})",
        f"≥ {GOAL:.0%} of them",
        median(ratios) >= GOAL,
        used,
    )


def _bare(count: int) -> float:
    """Jobs a second of as many processes as there are cores, which do nothing else."""
    cores = _cores()
    argv = [sys.executable, "-m", "tests.bench.burning", str(count // cores)]
    processes = [subprocess.Popen(argv, stdout=subprocess.PIPE) for _ in range(cores)]
    for process in processes:
        assert process.stdout is not None  # it says so once it is there
        process.stdout.readline()
    started = time.perf_counter()
    for process in processes:
        process.communicate()
    return count // cores * cores / (time.perf_counter() - started)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    print("begins", flush=True)
    for _ in range(int(sys.argv[1])):
        burn(Note(0, ""))
