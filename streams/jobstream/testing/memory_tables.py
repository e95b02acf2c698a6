"""The dedup tables of a worker in memory: each shard is rebuilt from its topic at every takeover.

No shard is ever warm here, so what a test sees is what the topic tells.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jobstream.testing.memory_shard import MemoryShard
from jobstream_processors.assignment.takeover import OpenShard
from jobstream_processors.errors import NoLongerWanted
from jobstream_processors.row_facts import fact_of, key_fact_of
from jobstream_schemas import DecodeError, parse_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.ports import Log, Record, Shard, TopicPartition
    from jobstream_schemas import Row

_TELL_OF_A_JOB = frozenset({"job", "moved", "parked", "crash", "limit"})


class MemoryTables:
    """The `Tables` of one worker over any `Log`. Used by one thread."""

    def __init__(self, reader: Log) -> None:
        self._reader = reader
        self._open: dict[TopicPartition, MemoryShard] = {}

    def open(
        self,
        partition: TopicPartition,
        *,
        claim: int,
        topic_id: str,  # noqa: ARG002 - part of the port; nothing is kept that could be foreign
        window_ms: int,  # noqa: ARG002 - part of the port; rows are kept as long as the topic's
        needed: Callable[[], bool] | None = None,
    ) -> OpenShard:
        """Read the topic from its start up to and including `claim`; raises NoLongerWanted."""
        started = time.monotonic()
        shard = MemoryShard()
        first, _ = self._reader.span(partition)
        previous, count = None, 0
        for records in self._reader.read(partition, first, claim + 1):
            for record in records:
                row = _row_of(record)
                if row is not None and row.kind in _TELL_OF_A_JOB:
                    shard.merge([(row.id, fact_of(row))])
                elif row is not None and row.kind == "unique":
                    shard.keep_key_facts([hold] if (hold := key_fact_of(row)) is not None else [])
                elif row is not None and row.kind == "claim" and record.offset() != claim:
                    previous = record.offset()
            count += len(records)
        if needed is not None and not needed():
            # What is open by now may be the table of a lane that lives.
            raise NoLongerWanted(str(partition))
        if (before := self._open.get(partition)) is not None:
            before.close()
        self._open[partition] = shard
        return OpenShard(shard, previous, count, time.monotonic() - started)

    def close(self, partition: TopicPartition, shard: Shard) -> None:
        """Close that shard; the next open reads the topic again."""
        shard.close()
        if self._open.get(partition) is shard:
            del self._open[partition]


def _row_of(record: Record) -> Row | None:
    """The row; None for a stranger's record, which stops no worker."""
    try:
        return parse_row(record.key() or b"", record.value() or b"")
    except DecodeError:
        return None
