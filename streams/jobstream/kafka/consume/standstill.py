"""Notices partitions that have records and bring none, so that their fetching can begin anew.

The client library can lose a fetch for good: when a leader dies, or when a pause or resume of ours
meets one of its own (librdkafka issues 4492 and 5591). It tells nothing of it, and the partition
would stand still until its member leaves. So it is with a record that was left out at the log's
end: nothing that comes after it shows that it is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from jobstream_processors.ports import TopicPartition

LOOK_MS = 5_000
"""Milliseconds between two looks."""
DRY_LOOKS = 2
BUSY_LOOKS = 3
"""So many that saw the same place behind the log's end, and it is started anew."""


class Standstill:
    """What was seen of each partition. Knows no client; used by one thread.

    A partition with records may bring none because they wait in the client, behind those of others.
    That queue is in the order of fetching. So nothing waited in it if it ran dry since the last
    look, or if somebody's record was delivered that was not yet written at the last look: whatever
    had been fetched until then was delivered before it. In the second case the partition must have
    stood there at one look more, so that its turn to be fetched had come before that record's.
    """

    def __init__(self) -> None:
        self._places: Mapping[TopicPartition, int] = {}
        """Where each stood at the last look."""
        self._ends: dict[TopicPartition, int] = {}
        """Where each log ended then, as far as it was asked."""
        self._stood: dict[TopicPartition, tuple[int, int]] = {}
        """How many looks in a row saw a partition at its place, with records before it; and of
        these, when the client was dry."""
        self._begun: dict[TopicPartition, tuple[int, int, int]] = {}
        """(place, end, times) of those that were started anew. It is repeated after twice as many
        looks each time: markers of foreign transactions stand at ends and are never delivered."""

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """These were paused, started or taken away: what was seen of them means nothing now."""
        for partition in partitions:
            self._stood.pop(partition, None)
            self._ends.pop(partition, None)

    def asks(self, places: Mapping[TopicPartition, int]) -> bool:
        """Whether a look needs to know where the logs end; if not, it is over with this."""
        if not self._places or any(self._places.get(p) == at for p, at in places.items()):
            return True
        self._places, self._ends, self._stood = places, {}, {}
        return False

    def look(
        self,
        places: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        *,
        dry: bool,
    ) -> list[TopicPartition]:
        """Those to start anew: at `places` they stand, at `ends` their logs end.

        `dry`: the client had nothing more to give at some time since the last look.
        """
        behind = {p: place for p, place in places.items() if place < ends.get(p, place)}
        passed = any(place > self._ends.get(p, place) for p, place in places.items())
        stood: dict[TopicPartition, tuple[int, int]] = {}
        again = []
        for partition, place in behind.items():
            *at, times = self._begun.get(partition, (place, ends[partition], 0))
            if at != [place, ends[partition]]:
                times = 0
            seen = self._stood.get(partition) if self._places.get(partition) == place else None
            looks, dries = seen or (0, 0)
            looks, dries = looks + 1, dries + dry
            dried = dry and dries >= DRY_LOOKS << times
            if dried or (passed and looks >= BUSY_LOOKS << times):
                again.append(partition)
                self._begun[partition] = place, ends[partition], times + 1
            else:
                stood[partition] = looks, dries
        self._places, self._ends, self._stood = places, dict(ends), stood
        self._begun = {p: begun for p, begun in self._begun.items() if p in behind}
        return again
