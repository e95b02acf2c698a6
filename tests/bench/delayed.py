"""How late delayed jobs are: by the broker's stamps on rung and queue, at 1,000 due a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.bench.jobs import notes
from tests.bench.report import Figure, percentile

from jobstream.kafka.follow.topic_reader import KafkaLog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.bench.jobs import Bench
    from tests.bench.rig import Rig

RATE = 1_000
AT_ONCE = 50
DELAY_MS = 7_000
"""One wait on the rung of 5 s, then the exact one."""
GOAL_MS = 100.0


def measure(rig: Rig) -> Iterator[Figure]:
    """Worker and delayer run in one process, as they do by default."""
    count = rig.size(20_000, 5_000)
    bench = rig.bench("delayed")
    job, given = bench.types["stamp"], notes(count)
    numbers: dict[str, int] = {}
    with rig.worker(bench, count) as worker:
        at = time.monotonic()
        for first in range(0, count, AT_ONCE):
            time.sleep(max(0.0, at - time.monotonic()))
            at += AT_ONCE / RATE
            ids = job.enqueue_many(given[first : first + AT_ONCE], delay=f"{DELAY_MS}ms")
            numbers.update(zip(ids, range(first, count), strict=False))
        report = worker.report()
    log = KafkaLog(bench.app.settings.client_options())
    rungs = [topic for topic, _ in bench.app.plan(bench.queue).rungs.values()]
    due = {job_id: ms + DELAY_MS for job_id, ms in _appended(log, bench, rungs).items()}
    queued = _appended(log, bench, [bench.topic])
    rig.drop(bench)
    started = {n: wall_ns / 1e6 for n, wall_ns, _ in report.starts}
    late = [queued[job_id] - due[job_id] for job_id in numbers]
    begun = [started[n] - due[job_id] for job_id, n in numbers.items()]
    early = sum(ms < 0 for ms in late)
    of = f"{count} jobs at {RATE}/s"
    yield Figure("delayed jobs queued before they were due", early, "jobs", of, "0", early == 0)
    yield Figure("delayed job queued late, p50", percentile(late, 0.5), "ms", of)
    worst = percentile(late, 0.99)
    yield Figure(
        "delayed job queued late, p99", worst, "ms", of, f"≤ {GOAL_MS:g} ms", worst <= GOAL_MS
    )
    yield Figure("delayed job started late, p99", percentile(begun, 0.99), "ms", of)


def _appended(log: KafkaLog, bench: Bench, topics: Iterable[str]) -> dict[str, int]:
    """When the broker first appended a record of each job to one of the topics."""
    first: dict[str, int] = {}
    for topic in topics:
        for partition in range(bench.queue.partitions):
            place = (topic, partition)
            for records in log.read(place, *log.span(place)):
                for record in records:
                    job_id, at = (record.key() or b"").decode(), record.timestamp()[1]
                    first[job_id] = min(at, first.get(job_id, at))
    return first
