"""How long a tenant's few jobs wait beside another's very many, with `fair_by` and without.

The many are there first. The few come at a steady pace from the start of the worker on, so the
first of them stand behind all of the many in their partitions.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.bench.jobs import QUIET, WAIT_S, Note
from tests.bench.report import Figure, percentile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.rig import Rig

SLOTS = 20
RATE = 20
MORE_S = 10.0
"""The worker goes on for so long after the many could all have run."""


def measure(rig: Rig) -> Iterator[Figure]:
    """The same load twice; both processes share a clock."""
    many, few = rig.size(40_000, 10_000), rig.size(400, 200)
    for kind, how in (("tenants", "without fair_by"), ("fair", "with fair_by")):
        took = waits(rig, kind, many, few)
        for share in (0.5, 0.99):
            yield Figure(
                f"a quiet tenant's wait beside {many:,} jobs of another, {how}, p{share * 100:g}",
                percentile(took, share),
                "ms",
                f"{len(took)} of {few} jobs began; {SLOTS / WAIT_S:,.0f} jobs/s at best",
            )


def waits(rig: Rig, kind: str, many: int, few: int) -> list[float]:
    """Milliseconds from the enqueue of each quiet job that began to its start."""
    bench = rig.bench(kind)
    job = bench.types[kind]
    job.enqueue_many([Note(n, "loud") for n in range(many)])
    limit_s = many * WAIT_S / SLOTS + few / RATE + MORE_S
    sent: list[int] = []
    with rig.worker(bench, 1 << 60, limit_s=limit_s, JOBSTREAM_CONCURRENCY=str(SLOTS)) as worker:
        at = time.monotonic()
        for number in range(few):
            time.sleep(max(0.0, at - time.monotonic()))
            at += 1 / RATE
            sent.append(time.monotonic_ns())
            job.enqueue(Note(number, QUIET))
        report = worker.report()
    rig.drop(bench)
    return [(started - sent[n]) / 1e6 for n, _, started in report.starts]
