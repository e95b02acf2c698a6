"""Jobs that wait 20 ms, 200 at once in one process, beside a bare asyncio loop over the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.jobs import WAIT_S
from tests.bench.report import Figure, of_loop, per_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.rig import Rig

IDEAL = 200 / WAIT_S
GOAL = 0.97


def measure(rig: Rig) -> Iterator[Figure]:
    """One round: the ideal is known."""
    count = rig.size(60_000, 20_000)
    bench = rig.filled("waiting", "wait", count)
    bare = rig.bare("wait", bench, count)
    ours = rig.work(bench, count)
    rig.drop(bench)
    for what, report in (("bare asyncio, 20 ms x 200", bare), ("jobs of 20 ms x 200", ours)):
        rate = report.jobs / report.seconds
        goal = f"≥ {GOAL:.0%} of the ideal" if report is ours else ""
        share = rate / IDEAL
        beside = f"{share:.1%} of the ideal {IDEAL:,.0f}/s"
        used = per_job(report.cpu, report.jobs) + of_loop(report)
        yield Figure(what, rate, "jobs/s", beside, goal, share >= GOAL if goal else None, used)
