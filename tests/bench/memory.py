"""Memory of a worker while a million jobs wait: no-op ones, and ones that take their time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.report import Figure, not_measured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.rig import Rig

GOAL_MB = 150.0


def measure(rig: Rig) -> Iterator[Figure]:
    """The most memory the process ever had in RAM, start and leaving included."""
    waiting = rig.size(1_000_000, 100_000)
    for kind, share in (("wait", 0.2), ("async", 0.5)):
        bench = rig.filled(f"memory-{kind}", kind, waiting)
        settled = int(waiting * share)
        report = rig.work(bench, settled)
        rig.drop(bench)
        what = f"memory, {waiting:,} {'no-op' if kind == 'async' else '20 ms'} jobs waiting"
        if not report.peak_mb:
            yield not_measured(what, "no /proc here")
            continue
        seen = report.resident_mb
        end = f"at most {max(seen):.0f} MB at work, {seen[-1]:.0f} MB after {report.jobs:,} jobs"
        met = report.peak_mb < GOAL_MB
        yield Figure(what, report.peak_mb, "MB peak", end, f"< {GOAL_MB:g} MB", met)
