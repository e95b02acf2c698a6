"""The dedup tables of one process: opens a shard, makes it trustworthy, keeps it and closes it.

A shard that can't be trusted is put aside and rebuilt from its topic, which takes time and loses
nothing. This room publishes nothing, and runs no job: its caller waits for `open`, then begins.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from jobstream.dedup.errors import ShardUnusable
from jobstream.dedup.folder import Identity, ShardFolder, ttl_seconds
from jobstream.dedup.restore import Progress, replay
from jobstream.dedup.rocks import ShardMemory
from jobstream.dedup.shard import RocksShard
from jobstream_processors.assignment.takeover import OpenShard
from jobstream_processors.errors import NoLongerWanted, TableUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.dedup.restore import OnProgress, Restored
    from jobstream.dedup.slots import Slot
    from jobstream_processors.ports import Log, Shard, TopicPartition

log = logging.getLogger("jobstream.table")

CATCH_UP_S = 5.0
"""How long a close may read on, so that the next open on this disk starts warm."""


class _Wanted(NamedTuple):
    """An open that was asked for: the partition, its claim, and whether it is needed still."""

    partition: TopicPartition
    claim: int
    identity: Identity
    needed: Callable[[], bool] | None


class Table:
    """Every shard this process owns, in its slot. Safe to use from several threads.

    Shards of partitions that moved on stay on disk for a warm start. `memory` bounds what all
    shards use together; `now_ms` tells broker time, by which rows grow old;
    `on_progress(partition, rows, remaining)` is called about once a second while a shard is
    restored, from the thread that restores it.
    """

    def __init__(
        self,
        slot: Slot,
        log: Log,
        on_progress: OnProgress | None = None,
        *,
        now_ms: Callable[[], int],
        memory: ShardMemory | None = None,
    ) -> None:
        self._slot = slot
        self._log = log
        self._on_progress = on_progress
        self._now_ms = now_ms
        self._memory = memory or ShardMemory()
        self._shards: dict[TopicPartition, RocksShard] = {}
        self._opening: dict[TopicPartition, threading.Lock] = {}
        """One open of a partition at a time: the next one goes on where the last has come to."""
        self._lock = threading.Lock()

    def open(
        self,
        partition: TopicPartition,
        *,
        claim: int,
        topic_id: str,
        window_ms: int,
        needed: Callable[[], bool] | None = None,
    ) -> OpenShard:
        """Restore the shard of a dedup partition up to and including the row at offset `claim`.

        Blocks while it reads, with progress, and while an earlier open of the partition does. A
        shard of the partition that is still open here is closed first: an earlier assignment is
        over. What is locked, damaged or foreign is put aside with one warning and rebuilt. Raises
        TableUnavailable if that fails, too, and NoLongerWanted within about a second once `needed`
        says no; the next open goes on where this one has come to.

        `previous_claim` is None when the topic and the shard know of no earlier claim; it does not
        prove that there was none, since the topic forgets after its retention.
        """
        with self._lock:
            alone = self._opening.setdefault(partition, threading.Lock())
        with alone:
            topic, number = partition
            identity = Identity(topic, topic_id, number, ttl_seconds(window_ms))
            return self._open(_Wanted(partition, claim, identity, needed))

    def _open(self, wanted: _Wanted) -> OpenShard:
        begun_s = time.monotonic()
        partition = wanted.partition
        if wanted.needed is not None and not wanted.needed():
            # It waited for a later one: what is open now is the table of a lane that lives.
            message = f"{partition[0]} [{partition[1]}]: not ours any more, so nothing was opened"
            raise NoLongerWanted(message)
        with self._lock:
            before = self._shards.pop(partition, None)
        if before is not None:
            _close(before, partition)
        folder = ShardFolder(self._slot.path, *partition)
        try:
            shard, restored = self._restored(folder, wanted)
        except ShardUnusable as reason:
            aside = folder.set_aside()
            log.warning(
                "dedup_shard_rebuilt",
                extra={"partition": partition, "reason": str(reason), "aside": aside.name},
            )
            shard, restored = self._restored(folder, wanted)
        if restored.unreadable:
            log.warning(
                "dedup_rows_unreadable",
                extra={"partition": partition, "skipped": restored.unreadable},
            )
        with self._lock:
            self._shards[partition] = shard
        seconds = time.monotonic() - begun_s
        return OpenShard(shard, restored.previous_claim, restored.rows, seconds)

    def catch_up(
        self, partition: TopicPartition, shard: RocksShard, *, seconds: float = CATCH_UP_S
    ) -> int:
        """Read on to the end of the topic, for at most about `seconds`; returns the rows read.

        An owner's own rows are in its shard already, but only reading shows that no other rows
        are missing. Keeps the next start of a long-lived owner warm; the shard may be in use.
        """
        if shard.closed:
            return 0
        _, end = self._log.span(partition)
        until_s = time.monotonic() + seconds
        return replay(
            shard,
            self._log,
            partition,
            end,
            below_claim=end,
            progress=Progress(None),
            until_s=until_s,
        ).rows

    def close(
        self, partition: TopicPartition, shard: Shard, *, catch_up_s: float = CATCH_UP_S
    ) -> None:
        """Catch up for at most about `catch_up_s`, then flush and release. Raises nothing.

        Closes `shard` and no other: a later assignment of the partition may have opened its own
        already. What could not be caught up or flushed is read from the topic at the next open.
        """
        with self._lock:
            if self._shards.get(partition) is not shard:
                return  # Closed by the open that came after it.
        assert isinstance(shard, RocksShard)  # noqa: S101 - only such are kept here
        if catch_up_s > 0:
            try:
                self.catch_up(partition, shard, seconds=catch_up_s)
            except Exception as reason:  # noqa: BLE001 - any failure costs a warm start, no more
                log.warning("dedup_catch_up_failed", extra=_why(partition, reason))
        with self._lock:
            if self._shards.get(partition) is not shard:
                return
            del self._shards[partition]
        _close(shard, partition)

    def _restored(self, folder: ShardFolder, wanted: _Wanted) -> tuple[RocksShard, Restored]:
        """The shard in `folder`, brought up to the claim; closed again if that fails."""
        shard = RocksShard(
            folder.data(wanted.identity),
            ttl_seconds=wanted.identity.ttl_seconds,
            memory=self._memory,
            now_ms=self._now_ms,
        )
        try:
            return shard, self._replayed(shard, wanted)
        except BaseException:
            _close(shard, wanted.partition)
            raise

    def _replayed(self, shard: RocksShard, wanted: _Wanted) -> Restored:
        stop = wanted.claim + 1
        marked = shard.marked().next_offset
        if marked > stop:
            message = f"foreign: it holds the topic up to {marked}, the own claim is {wanted.claim}"
            raise ShardUnusable(message)
        return replay(
            shard,
            self._log,
            wanted.partition,
            stop,
            below_claim=wanted.claim,
            progress=Progress(self._on_progress),
            needed=wanted.needed,
        )


def _close(shard: RocksShard, partition: TopicPartition) -> None:
    try:
        shard.close()
    except TableUnavailable as reason:
        log.warning("dedup_shard_not_flushed", extra=_why(partition, reason))


def _why(partition: TopicPartition, reason: Exception) -> dict[str, object]:
    return {"partition": partition, "reason": f"{type(reason).__name__}: {reason}"}
