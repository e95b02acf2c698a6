"""What counting costs: settled no-op jobs with the meter and without, round by round in turn."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from tests.bench.counting import Steps
from tests.bench.report import Figure, per_job

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.bench.rig import Rig
    from tests.bench.worker import Report

GOAL = 0.05


def measure(rig: Rig) -> Iterator[Figure]:
    """Pairs of rounds, each with the other order; medians of CPU per job, of Python's threads.

    Those share one lock, so what they take is what bounds the rate; those of the client library
    and the table are left out, as is the measurement.
    """
    _, added = Steps().added_us(rig.size(100, 30))
    count, rounds = rig.size(200_000, 60_000), rig.size(5, 3)
    used: dict[bool, list[float]] = {True: [], False: []}
    rates: dict[bool, list[float]] = {True: [], False: []}
    last: dict[bool, str] = {}
    for number in range(rounds):
        for metered in (True, False) if number % 2 else (False, True):
            report = _round(rig, f"metrics-{number}-{metered}".lower(), count, metered=metered)
            used[metered].append(_own(report.cpu) / report.jobs * 1e6)
            rates[metered].append(report.jobs / report.seconds)
            last[metered] = per_job(report.cpu, report.jobs)
    with_it, without = median(used[True]), median(used[False])
    pairs = zip(used[True], used[False], strict=True)
    every = ", ".join(f"{one / other - 1:+.1%}" for one, other in pairs)
    yield Figure(
        "settled no-op, async, not counted",
        without,
        "µs CPU/job",
        f"{median(rates[False]):,.0f} jobs/s",
        note=last[False],
    )
    yield Figure(
        "counting, its steps alone in memory",
        added,
        "µs CPU/job",
        f"{added / without:+.1%} of the above",
        f"≤ {GOAL:.0%} more",
        added / without <= GOAL,
    )
    yield Figure(
        "settled no-op, async, counted",
        with_it,
        "µs CPU/job",
        f"{with_it / without - 1:+.1%} (rounds: {every}); {median(rates[True]):,.0f} jobs/s",
        note=last[True],
    )


def _own(cpu: Mapping[str, float]) -> float:
    return sum(s for name, s in cpu.items() if name.startswith(("MainThread", "jobstream-")))


def _round(rig: Rig, name: str, count: int, *, metered: bool) -> Report:
    bench = rig.filled(name, "async", count)
    # Statistics of the clients belong to the cost, as does the thread that would answer.
    port = "0" if metered else "off"
    report = rig.work(bench, count, metered=metered, JOBSTREAM_METRICS_PORT=port)
    rig.drop(bench)
    return report
