"""From starting a worker's process to the first line of its first handler."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.jobs import notes
from tests.bench.report import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.rig import Rig


def measure(rig: Rig) -> Iterator[Figure]:
    """A new group each time, a job waiting in it; imports and joining the group included."""
    took = []
    for number in range(rig.size(5, 2)):
        bench = rig.bench(f"start-{number}")
        bench.types["stamp"].enqueue(notes(1)[0])
        begun = time.monotonic_ns()
        report = rig.work(bench, 1)
        took.append((report.starts[0][2] - begun) / 1e9)
        rig.drop(bench)
    every = ", ".join(f"{s:.2f}" for s in took)
    yield Figure("worker start to its first job", median(took), "s", f"all: {every}")
