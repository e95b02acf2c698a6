"""Compares scans: which places stand still, went back, or fell out of the log.

Scans go in, counts come out; the only time it knows is that of the scans. A new exporter
begins anew, and takes as long as any place must stand to call a partition stalled again.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from jobstream.operate.letter_count import OTHER, UNNAMED

if TYPE_CHECKING:
    from jobstream.operate.sight import PartitionLag, Sight
    from jobstream_processors.ports import TopicPartition

STALLED_S = 120.0
"""How long a place must stand still to be called stalled."""


class _Trace(NamedTuple):
    """One partition, as it was seen last."""

    topic_id: str
    recorded: int | None
    low: int
    moved_ms: int
    """When the place was first seen where it is."""


class ClusterHistory:
    """Keeps one trace per partition that the last look saw. Used by one thread."""

    def __init__(self, stalled_s: float = STALLED_S) -> None:
        self._stalled_ms = stalled_s * 1_000
        self._traces: dict[tuple[str, TopicPartition], _Trace] = {}
        self.rewinds: Counter[tuple[str, str]] = Counter()
        """(group, topic) → how often a place went back."""
        self.lost: Counter[tuple[str, str]] = Counter()
        """(group, topic) → unfinished records that retention deleted."""
        self.letters: dict[tuple[str, str, str], int] = {}
        """(queue, job type, reason) → open letters; what was seen once stays, at 0."""
        self.backlog: dict[tuple[str, str], float] = {}
        """(queue, job type) → about how many wait; what was seen once stays, at 0."""
        self.stalled: dict[tuple[str, TopicPartition], bool] = {}

    def take(self, sight: Sight) -> None:
        """Learn from the next look."""
        traces, stalled = {}, {}
        for row in sight.partitions:
            key = row.group, row.standing.place
            trace = traces[key] = self._next(row, sight.taken_ms)
            size = sight.groups.get(row.group)
            stalled[key] = bool(
                row.overdue_s > 0
                and size is not None
                and size.members
                and sight.taken_ms - trace.moved_ms >= self._stalled_ms
            )
        self._traces, self.stalled = traces, stalled
        self.backlog = dict.fromkeys(self.backlog, 0.0)
        self.backlog |= {(queue, UNNAMED): 0.0 for queue in sight.queues} | dict(sight.backlog)
        self.letters = dict.fromkeys(self.letters, 0)
        for queue, letters in sight.letters.items():
            # A queue without letters has a series as well: 0 is an answer.
            self.letters[queue, UNNAMED, OTHER] = 0
            self.letters |= {(queue, *what): n for what, n in letters.counts.items()}

    def _next(self, row: PartitionLag, now_ms: int) -> _Trace:
        """The trace after this look; counts what happened since the last one."""
        at = row.standing
        series = row.group, at.place[0]
        last = self._traces.get((row.group, at.place))
        self.rewinds[series] += 0
        # Without a look before, what is missing below the recorded place is all that can be known.
        since = at.recorded if at.recorded is not None else at.low
        if last is not None and last.topic_id == at.topic_id:
            since = last.low
            # A group whose recorded place is gone starts at the log's start: that is going back.
            back = last.recorded is not None and (at.recorded or 0) < last.recorded
            self.rewinds[series] += back
            if at.recorded == last.recorded:
                self.lost[series] += at.lost_since(since)
                return _Trace(at.topic_id, at.recorded, at.low, last.moved_ms)
        self.lost[series] += at.lost_since(since)
        return _Trace(at.topic_id, at.recorded, at.low, now_ms)
