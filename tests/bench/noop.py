"""Settled no-op jobs per second by executor, beside a bare loop over the same records."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.report import Figure, of_loop, per_job

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.bench.jobs import Bench
    from tests.bench.rig import Rig

EXECUTORS = ("async", "sync", "process")
SHARE = {"async": 1.0, "sync": 1.0, "process": 0.05}
"""How many jobs each executor gets, of those that the async one gets."""
GOALS = {"async": 0.85, "sync": 0.5}
"""Of the bare loop, by the compiled build."""


def measure(rig: Rig) -> Iterator[Figure]:
    """Five rounds (one if quick), each with another order; medians.

    The clock runs from when all partitions are served, as the bare loop has them all at once. In
    children jobs are too few for that, and theirs runs from the first job taken.
    """
    others = {f"async, {checkout}": checkout for checkout in rig.beside}
    count, rounds = rig.size(400_000, 200_000), rig.size(5, 1)
    rates: dict[str, list[float]] = defaultdict(list)
    ratios: dict[str, list[float]] = defaultdict(list)
    cpu: dict[str, str] = {}
    for number in range(rounds):
        found = [*_round(rig, number, count), *_others(rig, number, count, others)]
        for name, rate, used in found:
            rates[name].append(rate)
            cpu[name] = used
        for name in (*EXECUTORS, *others):
            ratios[name].append(rates[name][-1] / rates["bare"][-1])
    what, rate = "bare loop: consume, decode, commit", median(rates["bare"])
    yield Figure(what, rate, "jobs/s", note=cpu["bare"])
    for name in (*EXECUTORS, *others):
        ratio = median(ratios[name])
        every = ", ".join(f"{r:.2f}" for r in ratios[name])
        least = GOALS.get(name)
        yield Figure(
            f"settled no-op, {name}",
            median(rates[name]),
            "jobs/s",
            f"{ratio:.2f} x the bare loop (rounds: {every})",
            f"≥ {least} x, compiled" if least else "",
            ratio >= least if least else None,
            cpu[name],
        )


def _round(rig: Rig, number: int, count: int) -> list[tuple[str, float, str]]:
    found = []
    order = EXECUTORS[number % 3 :] + EXECUTORS[: number % 3]
    for name in order:
        jobs = max(1_000, int(count * SHARE[name]))
        bench = rig.filled(f"{name}-{number}", name, jobs)
        if name == "async" and number % 2 == 0:
            found.append(_bare(rig, bench, jobs))
        report = rig.work(bench, jobs, served=0 if name == "process" else bench.queue.partitions)
        used = {**report.cpu, **({"children": report.cpu_children} if name == "process" else {})}
        told = per_job(used, report.jobs) + of_loop(report)
        found.append((name, report.jobs / report.seconds, told))
        if name == "async" and number % 2:
            found.append(_bare(rig, bench, jobs))
        rig.drop(bench)
    return found


def _others(
    rig: Rig, number: int, count: int, others: Mapping[str, Path]
) -> Iterator[tuple[str, float, str]]:
    """The same jobs, run by workers of other checkouts."""
    for at, (name, checkout) in enumerate(others.items()):
        bench = rig.filled(f"other-{at}-{number}", "async", count)
        report = rig.work(bench, count, served=bench.queue.partitions, checkout=checkout)
        yield name, report.jobs / report.seconds, per_job(report.cpu, report.jobs) + of_loop(report)
        rig.drop(bench)


def _bare(rig: Rig, bench: Bench, jobs: int) -> tuple[str, float, str]:
    report = rig.bare("noop", bench, jobs)
    used = per_job(report.cpu, report.jobs) + of_loop(report)
    return "bare", report.jobs / report.seconds, used
