"""Where the records of one queue live: topic names and partition counts, made at the edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jobstream_processors.core.ladder import rung_for, rung_partition


@dataclass(frozen=True, slots=True)
class QueuePlan:
    """One queue's topics. Dead letters and dedup rows have the queue's partition count."""

    name: str
    topic: str
    dlq: str
    dedup: str
    partitions: int
    window_ms: int
    """The dedup window: how long rows live."""
    rungs: Mapping[str, tuple[str, int]]
    """Rung name → (topic, partition count)."""
    slo_ms: int = 300_000
    """What the queue promises: no job is to be overdue for longer."""
    weight: int = 1
    """Its share of the slots' time while several queues have work."""
    release: str = ""
    """The release of the code that serves it, for its dead letters; "" if that is not known."""

    def rung(self, delay_ms: int, destination: int) -> tuple[str, int]:
        """(topic, partition) for a wait of `delay_ms` before queue partition `destination`."""
        topic, count = self.rungs[rung_for(delay_ms)]
        return topic, rung_partition(destination, count)
