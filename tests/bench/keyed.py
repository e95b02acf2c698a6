"""Order per key: one partition, 100 keys, 5 ms a job, beside a bare loop that keeps the order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.bare import CONCURRENCY
from tests.bench.jobs import KEYED_S, KEYS, notes
from tests.bench.report import Figure, of_loop, per_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.rig import Rig

GOAL = 1.0


def measure(rig: Rig) -> Iterator[Figure]:
    """One round over the same records."""
    count = rig.size(80_000, 20_000)
    bench = rig.bench("keyed", partitions=1)
    bench.types["keyed"].enqueue_many(notes(count), key=lambda note: str(note.n % KEYS))
    bare = rig.bare("keyed", bench, count)
    at_once = CONCURRENCY["keyed"]
    ours = rig.work(bench, count, JOBSTREAM_CONCURRENCY=str(at_once))
    rig.drop(bench)
    bare_rate, rate = bare.jobs / bare.seconds, ours.jobs / ours.seconds
    ideal = f"ideal {min(KEYS, at_once) / KEYED_S:,.0f}/s"
    used = per_job(bare.cpu, bare.jobs) + of_loop(bare)
    yield Figure("bare keyed loop, 100 keys x 5 ms", bare_rate, "jobs/s", ideal, note=used)
    yield Figure(
        "keyed jobs, 100 keys x 5 ms",
        rate,
        "jobs/s",
        f"{rate / bare_rate:.2f} x the bare keyed loop",
        f"≥ {GOAL} x the bare loop",
        rate / bare_rate >= GOAL,
        per_job(ours.cpu, ours.jobs) + of_loop(ours),
    )
