"""The exporter's metrics, made from one look and what the looks before it taught. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from jobstream.observe.families import counter, gauge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from jobstream.observe.cluster_history import ClusterHistory
    from jobstream.operate.sight import PartitionLag, Sight


def families(
    sight: Sight, history: ClusterHistory, objectives_s: Mapping[str, float]
) -> list[Metric]:
    """Everything that a look tells; `objectives_s` holds the objective of each queue seen."""
    return [
        *_places(sight, history),
        counter("jobs_rewinds_total", history.rewinds.items()),
        counter("jobs_lost_to_retention_records_total", history.lost.items()),
        gauge("jobs_uncommitted_partitions", _uncommitted(sight.partitions)),
        gauge("jobs_retention_used_ratio", _retention_used(sight)),
        *_letters(sight, history),
        gauge("jobs_backlog_estimate_records", history.backlog.items()),
        gauge("jobs_ladder_estimate_records", ((at, n.jobs) for at, n in sight.ladder.items())),
        gauge(
            "jobs_ladder_oldest_seconds",
            ((at, max(0, sight.broker_ms - n.since_ms) / 1000) for at, n in sight.ladder.items()),
        ),
        gauge("jobs_control_entries", (((kind,), n) for kind, n in sight.control.items())),
        gauge("jobs_group_members", (((g,), s.members) for g, s in sight.groups.items())),
        gauge("jobs_group_idle_members", (((g,), s.idle) for g, s in sight.groups.items())),
        gauge(
            "jobs_queue_objective_seconds",
            (((queue,), objectives_s[queue]) for queue in sight.queues),
        ),
    ]


def _places(sight: Sight, history: ClusterHistory) -> Iterator[Metric]:
    """One value per partition."""
    rows = [(_labels(row), row) for row in sight.partitions]
    yield gauge("jobs_lag_records", ((at, row.standing.lag) for at, row in rows))
    yield gauge("jobs_lag_seconds", ((at, row.overdue_s) for at, row in rows))
    yield gauge("jobs_log_start_offset", ((at, row.standing.low) for at, row in rows))
    yield gauge("jobs_log_end_offset", ((at, row.standing.high) for at, row in rows))
    yield gauge("jobs_committed_offset", ((at, row.standing.position) for at, row in rows))
    stalled = history.stalled
    yield gauge(
        "jobs_partition_stalled",
        ((at, float(stalled.get((row.group, row.standing.place), False))) for at, row in rows),
    )


def _labels(row: PartitionLag) -> tuple[str, ...]:
    topic, partition = row.standing.place
    return row.group, topic, str(partition), row.queue, row.tier


def _uncommitted(rows: Iterable[PartitionLag]) -> Iterable[tuple[tuple[str, ...], float]]:
    found: dict[tuple[str, ...], float] = defaultdict(float)
    for row in rows:
        at = row.standing
        found[row.group, at.place[0]] += at.recorded is None and at.high > at.low
    return found.items()


def _retention_used(sight: Sight) -> Iterable[tuple[tuple[str, ...], float]]:
    """The worst partition of each topic."""
    found: dict[tuple[str, ...], float] = {}
    for row in sight.partitions:
        topic = row.standing.place[0]
        kept_ms = sight.retention_ms.get(topic)
        if kept_ms is None:
            continue
        used = row.age_s * 1000 / kept_ms if kept_ms > 0 else 0.0
        key = topic, row.queue, row.tier
        found[key] = max(used, found.get(key, 0.0))
    return found.items()


def _letters(sight: Sight, history: ClusterHistory) -> Iterator[Metric]:
    yield gauge("jobs_open_dead_letters", history.letters.items())
    yield gauge(
        "jobs_oldest_dead_letter_seconds",
        (((queue,), letters.oldest_s) for queue, letters in sight.letters.items()),
    )
