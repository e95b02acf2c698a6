"""Follows a compacted topic: reads it to its end, then what is appended, and notices a new one.

What an entry means, the followers of single topics say. A topic that is deleted and made again is
read from its start. Reading blocks no longer than the `Log` port waits for a broker.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, ClassVar

from jobstream_processors.background import in_background

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.ports import Log, Record

log = logging.getLogger("jobstream.kafka")


class Compacted:
    """A compacted topic, read so far. Safe to use from several threads."""

    THREAD: ClassVar[str] = ""
    """The thread that follows it."""
    UNREAD: ClassVar[str] = ""
    """The log line of a look that failed."""
    IDS_EVERY: ClassVar[int] = 1
    """After so many looks it asks anew whether the topic is still the same one."""

    def __init__(self, reader: Log, topic: str, partitions: int = 1) -> None:
        self.topic = topic
        self._reader = reader
        self._topic_id = ""
        self._next = [0] * partitions
        self._reading = [threading.Lock() for _ in range(partitions)]
        self._looking = threading.Lock()
        self._looks = 0
        self._lock = threading.Lock()
        """Held around what the entries said; never while waiting for a broker."""
        self._closing = threading.Event()

    def catch_up(self) -> None:
        """Read what was written since the last call; blocks for that."""
        with self._looking:
            # In this order: a topic that is replaced in between is noticed at a later look.
            anew = self._looks % self.IDS_EVERY == 0
            self._compare(self._reader.topic_id(self.topic, anew=anew))
            self._looks += 1
            for partition in range(len(self._next)):
                self._read(partition)
            self._caught_up()

    def close(self) -> None:
        """Stop following."""
        self._closing.set()

    def _keep_up(
        self,
        interval_s: float,
        failed: Callable[[BaseException], object],
        looked: Callable[[], object] = lambda: None,
    ) -> None:
        """Catch up once per interval, from a thread of its own, until closed.

        A topic that can't be read is tried again, and `looked` is called after each look. What
        that raises ends the thread and is given to `failed` there.
        """

        def run() -> None:
            while not self._closing.wait(interval_s):
                try:
                    self.catch_up()
                except Exception as error:  # noqa: BLE001 - the next round tries again
                    log.warning(self.UNREAD, extra={"reason": str(error)})
                looked()

        in_background(self.THREAD, run, failed)

    def _compare(self, topic_id: str) -> None:
        if topic_id != self._topic_id:
            self._begin_anew()
            self._topic_id, self._next = topic_id, [0] * len(self._next)

    def _read(self, partition: int) -> None:
        with self._reading[partition]:
            place = (self.topic, partition)
            low, high = self._reader.span(place)
            if high < self._next[partition]:
                self._begin_anew()
                self._next[partition] = 0
            for batch in self._reader.read(place, max(low, self._next[partition]), high):
                with self._lock:
                    for record in batch:
                        self._take(record)
            self._next[partition] = high

    def _take(self, record: Record) -> None:
        """Learn from the next record of a partition; called with the lock."""
        raise NotImplementedError

    def _begin_anew(self) -> None:
        """What comes next stands in another topic of the same name, or in the first one."""

    def _caught_up(self) -> None:
        """Every partition was read to its end."""
