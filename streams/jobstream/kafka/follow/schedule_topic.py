"""The compacted schedules topic as a whole, for those who look at it or write definitions.

Schedulers read their own partitions of it by themselves: they must know when they own them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.kafka.follow.compacted import Compacted
from jobstream_processors.core.partition import partition_for
from jobstream_processors.ports import Outgoing
from jobstream_processors.schedule.schedule_book import ScheduleBook
from jobstream_schemas import encode_schedule, key_of

if TYPE_CHECKING:
    from jobstream_processors.ports import Log, Record
    from jobstream_processors.schedule.schedule_book import Scheduled
    from jobstream_schemas import ScheduleEntry


def schedule_record(topic: str, partitions: int, entry: ScheduleEntry) -> Outgoing:
    """The record that says it; all of one schedule stand in one partition."""
    place = partition_for(entry.name.encode(), partitions)
    return Outgoing(topic, key_of(entry), encode_schedule(entry), place)


def lifted_record(topic: str, partitions: int, name: str, key: bytes) -> Outgoing:
    """The record that ends what stands under a key of that schedule."""
    return Outgoing(topic, key, None, partition_for(name.encode(), partitions))


class ScheduleFollower(Compacted):
    """Knows every schedule of one app. Used by one thread."""

    THREAD = "jobstream-schedules"
    UNREAD = "schedules_unread"

    def __init__(self, reader: Log, topic: str, partitions: int) -> None:
        super().__init__(reader, topic, partitions)
        self.partitions = partitions
        self._book = ScheduleBook()

    @property
    def schedules(self) -> dict[str, Scheduled]:
        """By name, as far as it was read."""
        return self._book.schedules

    def _begin_anew(self) -> None:
        self._book = ScheduleBook()

    def _take(self, record: Record) -> None:
        self._book.take(record.key() or b"", record.value(), record.timestamp()[1])
