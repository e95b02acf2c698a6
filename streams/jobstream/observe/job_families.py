"""The job counts of a worker as metric families, read at each scrape.

Each scrape reads numbers that other threads go on writing: each is whole, and a histogram's count
is what its buckets add up to.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from jobstream.observe.families import counter, gauge, histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.core import Metric

    from jobstream_processors.core.breaker_guard import BreakerFacts
    from jobstream_processors.meter import Meter, TypeMeter
    from jobstream_processors.watch.standing import Standing

ROWS_SERVED_FAST = 1_000_000
"""Rows up to which a partition is served again within 15 s of its owner's death."""
PAUSES = ("no_room", "window", "operator", "quiet", "leaving", "not_in_log", "undeclared")


class JobsCollector:
    """Rate, errors and duration of the jobs of one worker process."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def collect(self) -> Iterable[Metric]:
        """All families, of every registered type from the start."""
        queues = list(self._meter.queues.values())
        meters = [meter for queue in queues for meter in queue.meters()]
        yield from _counts(meters)
        yield from _durations(meters)
        yield gauge(
            "jobs_expected_seconds",
            [(_of(m), m.expect_s) for m in meters if m.expect_s is not None],
        )
        yield counter("jobs_dedup_hits_total", [((q.name,), q.absorbed) for q in queues])
        yield counter("jobs_cut_total", [((q.name,), q.cut) for q in queues])
        yield counter("jobs_publish_retries_total", [((), self._meter.publish_retries)])


class WorkerCollector:
    """Gauges of what one worker process is doing now."""

    def __init__(self, meter: Meter, standing: Callable[[], Standing | None]) -> None:
        self._meter = meter
        self._standing = standing

    def collect(self) -> Iterable[Metric]:
        """All families; those of partitions are 0 for each queue from the start."""
        turn = self._meter.turn
        yield counter("jobs_loop_seconds_total", [((part,), s) for part, s in turn.seconds.items()])
        phases = self._meter.takeovers.seconds.items()
        yield histogram("jobs_takeover_seconds", [(of, *seen.shown) for of, seen in phases])
        standing = self._standing()
        if standing is None:
            return
        yield from self._partitions(standing)
        yield from self._handlers(standing)
        yield from _breakers(standing.breakers)
        found = standing.waiting.items()
        yield gauge("jobs_waiting", [(at, each.jobs) for at, each in found])
        oldest = [(at, standing.waits_s(each)) for at, each in found]
        yield gauge("jobs_waiting_oldest_seconds", oldest)

    def _partitions(self, standing: Standing) -> Iterable[Metric]:
        queues, lanes = list(self._meter.queues), standing.lanes

        def per_queue(name: str, values: dict[str, int]) -> Metric:
            return gauge(name, [((queue,), values.get(queue, 0)) for queue in queues])

        def total(of: Callable[[int], int]) -> dict[str, int]:
            found: Counter[str] = Counter()
            for index, lane in enumerate(lanes):
                found[lane.queue] += of(index)
            return found

        owned = total(lambda _: 1)
        yield per_queue("jobs_in_flight", total(lambda i: lanes[i].unfinished))
        yield per_queue("jobs_commit_gap_records", total(lambda i: lanes[i].gap))
        yield per_queue("jobs_partitions_assigned", owned)
        yield per_queue("jobs_partitions_restoring", total(lambda i: lanes[i].restoring))
        yield per_queue("jobs_flood_guards_closed", total(lambda i: lanes[i].guarded))
        yield per_queue("jobs_dedup_rows", total(lambda i: lanes[i].rows))
        budget = {queue: count * ROWS_SERVED_FAST for queue, count in owned.items()}
        yield per_queue("jobs_dedup_rows_budget", budget)
        paused = Counter((lane.queue, reason) for lane in lanes for reason in lane.paused)
        paused.update({(queue, reason): 0 for queue in queues for reason in PAUSES})
        yield gauge("jobs_partitions_paused", paused.items())

    def _handlers(self, standing: Standing) -> Iterable[Metric]:
        running: Counter[tuple[str, str]] = Counter()
        oldest: dict[tuple[str, str], float] = {}
        for queue in self._meter.queues.values():
            for meter in queue.meters():
                running[_of(meter)], oldest[_of(meter)] = 0, 0.0
        for run in standing.runs:
            place = (run.queue, run.job_type)
            running[place] += 1
            oldest[place] = max(oldest.get(place, 0.0), run.seconds)
        yield gauge("jobs_running", running.items())
        yield gauge("jobs_oldest_running_seconds", oldest.items())
        yield gauge("jobs_stuck_handlers", [((), sum(run.stuck for run in standing.runs))])
        yield gauge("jobs_concurrency_limit", [((), standing.concurrency)])


class TablesCollector:
    """The memory of the dedup tables of one worker process."""

    def __init__(self, used: Callable[[], int]) -> None:
        self._used = used

    def collect(self) -> Iterable[Metric]:
        """One gauge, of all shards together."""
        yield gauge("jobs_dedup_memory_bytes", [((), self._used())])


def _breakers(breakers: Iterable[BreakerFacts]) -> Iterable[Metric]:
    found = list(breakers)
    yield gauge("jobs_breaker_state", [((each.name,), each.state) for each in found])
    openings = [((each.name, by), n) for each in found for by, n in each.openings]
    yield counter("jobs_breaker_openings_total", openings)


def _of(meter: TypeMeter) -> tuple[str, str]:
    return meter.queue, meter.job_type


def _counts(meters: list[TypeMeter]) -> Iterable[Metric]:
    settled = [((*_of(m), "done"), m.done) for m in meters]
    settled += [((*_of(m), how), n) for m in meters for how, n in m.settled.items()]
    yield counter("jobs_settled_total", settled)
    failures = [((*_of(m), kind), n) for m in meters for kind, n in m.failures.items()]
    yield counter("jobs_failures_total", failures)
    retries = [((*_of(m), rung), n) for m in meters for rung, n in m.retries.items()]
    yield counter("jobs_retries_total", retries)
    postponed = [((*_of(m), why), n) for m in meters for why, n in list(m.postponed.items())]
    yield counter("jobs_postponed_total", postponed)
    dead = [((*_of(m), reason), n) for m in meters for reason, n in list(m.dead.items())]
    yield counter("jobs_dead_letters_total", dead)


def _durations(meters: list[TypeMeter]) -> Iterable[Metric]:
    ran = [((*_of(m), "ok"), *m.ran_ok.shown) for m in meters]
    ran += [((*_of(m), "error"), *m.ran_error.shown) for m in meters]
    yield histogram("jobs_run_duration_seconds", ran)
    yield histogram("jobs_queue_wait_seconds", [(_of(m), *m.wait.shown) for m in meters])
    yield histogram("jobs_end_to_end_seconds", [(_of(m), *m.end_to_end.shown) for m in meters])
    yield histogram("jobs_attempts", [(_of(m), *m.attempts.shown) for m in meters])
