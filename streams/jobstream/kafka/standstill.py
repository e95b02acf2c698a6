"""Notices partitions that have records and bring none, so that their fetching can begin anew.

The client library can lose a fetch for good: when a leader dies, or when a pause or resume of ours
meets one of its own (librdkafka issues 4492 and 5591). It tells nothing of it, and the partition
would stand still until its member leaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from jobstream_processors.ports import TopicPartition

LOOK_MS = 5_000
"""From look to look. After two that saw the same place behind the log's end, it is started anew."""


class Standstill:
    """What was seen of each partition. Knows no client; used by one thread."""

    def __init__(self) -> None:
        self._behind: dict[TopicPartition, int] = {}
        """Where a partition stood at the last look, with records before it."""
        self._begun: dict[TopicPartition, tuple[int, int]] = {}
        """(place, end) when it was started anew: the end must grow before that is repeated, since
        markers of foreign transactions stand at ends and are never delivered."""

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """These were paused, started or taken away: what was seen of them means nothing now."""
        for partition in partitions:
            self._behind.pop(partition, None)

    def look(
        self, places: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> list[TopicPartition]:
        """Those to start anew: at `places` they stand, at `ends` their logs end."""
        behind = {
            partition: place
            for partition, place in places.items()
            if place < ends.get(partition, place)
        }
        again = [
            partition
            for partition, place in behind.items()
            if self._behind.get(partition) == place
            and self._begun.get(partition) != (place, ends[partition])
        ]
        self._behind = behind
        self._begun = {p: at for p, at in self._begun.items() if p in behind}
        self._begun |= {partition: (behind[partition], ends[partition]) for partition in again}
        return again
