"""From calling `enqueue` to the first line of the handler, at a steady 100 jobs a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.bench.jobs import notes
from tests.bench.report import Figure, per_job, percentile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.rig import Rig

RATE = 100
WARM_UP = 100
"""Jobs that are sent first and not judged: connections and the first assignment are made then."""
GOAL_MS = {0.5: 1.6, 0.99: 3.0}


def measure(rig: Rig) -> Iterator[Figure]:
    """Both processes share a clock: CLOCK_MONOTONIC is the machine's."""
    count = WARM_UP + rig.size(2_000, 400)
    bench = rig.bench("latency")
    job = bench.types["stamp"]
    sent: list[int] = []
    given = notes(count)
    job.enqueue(given[0])
    sent.append(0)
    with rig.worker(bench, count) as worker:
        at = time.monotonic() + 5.0  # the worker joins its group in that time
        for note in given[1:]:
            time.sleep(max(0.0, at - time.monotonic()))
            at += 1 / RATE
            sent.append(time.monotonic_ns())
            job.enqueue(note)
        report = worker.report()
    rig.drop(bench)
    took = [(started - sent[n]) / 1e6 for n, _, started in report.starts if n >= WARM_UP]
    for share, goal in GOAL_MS.items():
        value = percentile(took, share)
        what = f"enqueue to start at {RATE}/s, p{share * 100:g}"
        used = per_job(report.cpu, report.jobs) if share == max(GOAL_MS) else ""
        yield Figure(what, value, "ms", f"{len(took)} jobs", f"≤ {goal:g} ms", value <= goal, used)
