"""One partition's log: append-only, with the holes that compaction and retention leave.

Plain data without a lock; the broker guards it.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from jobstream.testing.memory_record import MemoryRecord

if TYPE_CHECKING:
    from jobstream_processors.ports import Outgoing


class PartitionLog:
    """Records in offset order. Offsets are never given out twice, but after a `cut`."""

    __slots__ = ("_records", "end", "partition", "start")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.start = 0
        """The first offset kept; what was below is gone."""
        self.end = 0
        """The next offset to be written."""
        self._records: list[MemoryRecord] = []

    def append(self, record: Outgoing, now_ms: int, sequence: int) -> int:
        """Append; returns the record's offset."""
        offset = self.end
        self._records.append(MemoryRecord(record, (self.partition, offset), now_ms, sequence))
        self.end += 1
        return offset

    def read(self, start: int, stop: int, limit: int) -> list[MemoryRecord]:
        """At most `limit` records of [start, stop) that are still there."""
        first = bisect_left(self._records, start, key=MemoryRecord.offset)
        found = self._records[first : first + limit]
        return [record for record in found if record.offset() < stop]

    def compact(self) -> None:
        """Keep the last record of each key, tombstones included."""
        last = {record.key(): record.offset() for record in self._records}
        keep = set(last.values())
        self._records = [record for record in self._records if record.offset() in keep]

    def drop_tombstones(self) -> None:
        """End the records without a value, as compaction does after their own time is over."""
        self._records = [record for record in self._records if record.value() is not None]

    def truncate(self, before: int) -> None:
        """Move the log's start to `before`, at most to its end; what lies below is gone."""
        self.start = max(self.start, min(before, self.end))
        first = bisect_left(self._records, self.start, key=MemoryRecord.offset)
        del self._records[:first]

    def cut(self, end: int) -> None:
        """Move the log's end back to `end`; what lies above is gone, its offsets are free again."""
        self.end = max(self.start, min(end, self.end))
        last = bisect_left(self._records, self.end, key=MemoryRecord.offset)
        del self._records[last:]
