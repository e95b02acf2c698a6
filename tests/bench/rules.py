"""What rules cost: no-op jobs of a type without any, with limits, and with three kinds of rules."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.jobs import Note
from tests.bench.report import Figure, per_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.rig import Rig

KINDS = {"async": "no rules", "limited": "two limits", "ruled": "unique, two limits, fair"}
TENANTS = 200
GOAL = 15_000


def measure(rig: Rig) -> Iterator[Figure]:
    """Three rounds (one if quick), each in another order; medians. No rule holds a job up."""
    count, rounds = rig.size(100_000, 30_000), rig.size(3, 1)
    rates: dict[str, list[float]] = defaultdict(list)
    cpu: dict[str, str] = {}
    for number in range(rounds):
        order = [*KINDS][number % 3 :] + [*KINDS][: number % 3]
        for kind in order:
            bench = rig.bench(f"rules-{kind}-{number}")
            jobs = (Note(n, f"tenant-{n % TENANTS}") for n in range(count))
            bench.types[kind].enqueue_many(jobs)
            report = rig.work(bench, count)
            rates[kind].append(report.jobs / report.seconds)
            cpu[kind] = per_job(report.cpu, report.jobs)
            rig.drop(bench)
    for kind, rules in KINDS.items():
        rate = median(rates[kind])
        ratio = f"{rate / median(rates['async']):.2f} x without rules"
        is_goal = kind == "ruled"
        yield Figure(
            f"settled no-op, {rules}",
            rate,
            "jobs/s",
            ratio if kind != "async" else "",
            f"≥ {GOAL:,}" if is_goal else "",
            rate >= GOAL if is_goal else None,
            cpu[kind],
        )
