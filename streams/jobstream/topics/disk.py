"""How much disk the topics of an app take, worked out from its load. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.topics.names import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream.topics.specs import TopicSpec

ROW_BYTES = 150
"""A dedup row in its topic: key and value of a `done` row, and Kafka's share per record."""
COPY_BYTES = 300
"""What a copy's headers add to its job: where it comes from, its last error, when it is due."""


@dataclass(frozen=True, slots=True)
class Load:
    """The load of one queue, as far as it decides about disk."""

    rate_per_s: float
    job_bytes: int
    delayed: float = 0.05
    """The share of jobs that is retried or delayed, and so stands on rungs."""
    dead: float = 0.001
    """The share of jobs that ends as a dead letter."""


def disk(specs: Iterable[TopicSpec], load: Load) -> dict[str, int]:
    """Bytes each topic takes over all its replicas once it is full, if every queue has `load`.

    rate * size * (retention + the open segment) * replicas: Kafka deletes whole closed segments,
    so a record stays for up to `segment.ms` longer. Each delayed job is counted once on every
    rung, which is more than it uses. A compacted topic is counted as two full segments.
    """
    return {spec.name: round(_bytes(spec, load)) for spec in specs}


def _bytes(spec: TopicSpec, load: Load) -> float:
    kept_ms = int(spec.configs.get("retention.ms", 0))
    if kept_ms == 0 or spec.kind is Kind.CONTROL:
        return 2 * spec.partitions * spec.replication * int(spec.configs["segment.bytes"])
    copy_bytes = load.job_bytes + COPY_BYTES
    per_s = {
        Kind.QUEUE: load.rate_per_s * load.job_bytes,
        Kind.RUNG: load.rate_per_s * load.delayed * copy_bytes,
        Kind.DLQ: load.rate_per_s * load.dead * copy_bytes,
        Kind.DEDUP: load.rate_per_s * ROW_BYTES,
    }[spec.kind]
    seconds = (kept_ms + int(spec.configs["segment.ms"])) / 1000
    return per_s * seconds * spec.replication
