"""The mirrored watermarks: reads the compacted offsets topic to its end and keeps the newest."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobstream.kafka.follow.compacted import Compacted
from jobstream_processors.core.partition import partition_for
from jobstream_processors.ports import Announced
from jobstream_schemas import DecodeError, Mirror, decode_mirror, mirror_key_of

if TYPE_CHECKING:
    from jobstream_processors.ports import Log, Record, TopicPartition

log = logging.getLogger("jobstream.kafka")

OWNERS_KEPT = 8
"""Of each partition; only the last one up to a claim is ever asked about."""
REASONS_MAX = 32
WITHOUT_A_MIRROR = (
    "written by another release of jobstream, most likely: its partitions go on at the committed "
    "offsets, rows tell what is settled above, and after a kill more jobs than usual are suspect"
)
_Key = tuple[str, str, str, int]


class MirrorTable:
    """Folds the records of the offsets topic, in any order of partitions; not thread-safe."""

    def __init__(self) -> None:
        self._newest: dict[_Key, Mirror] = {}
        self._may_begin: dict[_Key, dict[int, int]] = {}
        """By claim; the owners heard of last stand last."""
        self._unreadable: set[str] = set()

    def get(self, group: str, source: TopicPartition, topic_id: str) -> Mirror | None:
        """The mirror with the highest watermark of that incarnation of the topic, so far."""
        return self._newest.get((group, source[0], topic_id, source[1]))

    def last_owner(
        self, group: str, source: TopicPartition, topic_id: str, until: int | None
    ) -> Announced | None:
        """The owner with the highest claim up to `until`, and how far it may have begun."""
        told = self._may_begin.get((group, source[0], topic_id, source[1]), {})
        claims = [claim for claim in told if until is None or claim <= until]
        return Announced(max(claims), told[max(claims)]) if claims else None

    def take(self, record: Record) -> None:
        """Take one record; one that can't be read is left out, and each reason logged once.

        Its time is that of the broker's append: who wrote it may not know the time.
        """
        value = record.value()
        if value is None:
            return
        try:
            mirror = decode_mirror(value)._replace(at=record.timestamp()[1])
        except DecodeError as error:
            self._left_out(record, str(error))
            return
        key = (mirror.group, mirror.topic, mirror.topic_id, mirror.partition)
        known = self._newest.get(key)
        # A late mirror of a former owner must not pull the watermark back; a reset is a command
        # that marks its record, so that it wins over what it resets.
        if known is None or mirror.position >= known.position or mirror.is_reset:
            self._newest[key] = mirror
        if mirror.claim >= 0:
            self._announced(self._may_begin.setdefault(key, {}), mirror)

    def _left_out(self, record: Record, reason: str) -> None:
        # Beside another release of jobstream that may be every second record, for days.
        if reason in self._unreadable or len(self._unreadable) >= REASONS_MAX:
            return
        self._unreadable.add(reason)
        told = {"topic": record.topic(), "reason": reason, "what_holds": WITHOUT_A_MIRROR}
        log.warning("mirror_unreadable", extra=told)

    @staticmethod
    def _announced(told: dict[int, int], mirror: Mirror) -> None:
        # Partitions of the topic are read in any order, so the highest counts.
        told[mirror.claim] = max(mirror.may_begin, told.pop(mirror.claim, 0))
        if len(told) > OWNERS_KEPT:
            del told[next(iter(told))]


class KafkaMirrors(Compacted):
    """The `Mirrors` port over any `Log`. Safe to use from several threads.

    Every partition of the topic is read once. From then on a look reads only the one in which the
    mirror it is about stands, by its key: a partition without a leader holds up no other's mirrors.
    """

    def __init__(self, reader: Log, topic: str, partitions: int) -> None:
        super().__init__(reader, topic, partitions)
        self._unread = set(range(partitions))
        self._table = MirrorTable()

    def get(self, group: str, source: TopicPartition, topic_id: str) -> Mirror | None:
        """The mirror with the highest watermark of that incarnation of the topic.

        Reads what was written since the last call; blocks for that.
        """
        self.catch_up()
        key = mirror_key_of(group, topic_id, source[1])
        self._read(partition_for(key, len(self._next)))
        with self._lock:
            return self._table.get(group, source, topic_id)

    def last_owner(
        self, group: str, source: TopicPartition, topic_id: str, until: int | None
    ) -> Announced | None:
        """The last owner that may have begun jobs, as far as was read; None if unknown.

        Of those with a claim up to `until`, or of all. Returns at once.
        """
        with self._lock:
            return self._table.last_owner(group, source, topic_id, until)

    def catch_up(self) -> None:
        """Read every partition that was never read; blocks for that."""
        topic_id = self._reader.topic_id(self.topic)
        if topic_id == self._topic_id and not self._unread:
            return
        with self._looking:
            self._compare(topic_id)
            for partition in sorted(self._unread):
                self._read(partition)
                self._unread.discard(partition)

    def _compare(self, topic_id: str) -> None:
        """Read every partition of a new topic. What the topic before it told stays true.

        Of a partition that lost its end, too: that one is read from its start, and no other.
        """
        if topic_id != self._topic_id:
            self._unread = set(range(len(self._next)))
        super()._compare(topic_id)

    def _take(self, record: Record) -> None:
        self._table.take(record)
