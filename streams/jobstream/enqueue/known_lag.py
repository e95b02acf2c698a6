"""What waits on one queue, as the mirrors of its workers and the ends of its log tell it. Pure.

A mirror has the watermark and what is finished above it, so a long job that holds the watermark
up does not make the thousands that ended behind it count as waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.back_pressure import QueueLook, unfinished

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream_schemas import Mirror

Span = tuple[int, int]
"""(first offset kept, next offset to be written)."""


class KnownLag:
    """The newest mirror of each partition of one queue. Not thread-safe."""

    def __init__(self) -> None:
        self._newest: dict[int, Mirror] = {}

    def take(self, mirror: Mirror) -> None:
        """Learn from a mirror of the workers' group; its `at` is the broker's append time.

        A late one of a former owner takes nothing back. Of a topic that was made anew the mirrors
        of its newest incarnation count.
        """
        known = self._newest.get(mirror.partition)
        if known is not None:
            if mirror.topic_id != known.topic_id:
                if mirror.at < known.at:
                    return
            elif mirror.position < known.position and not mirror.is_reset:
                return
        self._newest[mirror.partition] = mirror

    def look(
        self,
        at_ms: int,
        spans: Mapping[int, Span],
        late_before: Mapping[int, int],
        age_ms: int | None = None,
    ) -> QueueLook | None:
        """What waits now; None if no worker ever served any of these partitions.

        `late_before` tells the first offset of each partition that is younger than the age bound.
        A place beyond the log's end is one of another incarnation, and tells nothing.
        """
        depth, late, finished = 0, 0, {}
        for partition, (low, high) in spans.items():
            mirror = self._newest.get(partition)
            if mirror is None or mirror.position > high:
                continue
            start = max(low, mirror.position)
            depth += unfinished(start, high, mirror.finished)
            stop = min(high, late_before.get(partition, start))
            late += unfinished(start, stop, mirror.finished)
            finished[partition] = mirror.position + sum(end - at for at, end in mirror.finished)
        if not finished:
            return None
        return QueueLook(at_ms, depth, finished, late, age_ms if late else None)
