"""Asks the log whether offsets that the client skipped hold a record.

A transaction's marker, an aborted transaction and a compacted record leave offsets that hold none.
Any other gap is a job that would never run. So the log is read, outside the group, before a
watermark passes the gap. If the log has a record there, the client reads again from it; if the
client skips the same record again, the partition is refused. A record skipped at a log's end leaves
no gap until another record follows: the source itself looks for those.
"""

from __future__ import annotations

import logging
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from jobstream_processors.assignment.places import RESET_WITH

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection, Mapping, Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.ports import Log, Source, TopicPartition

log = logging.getLogger("jobstream.worker")

AGAIN_MAX = 2
"""How often a client is made to read one skipped record again before the partition is refused."""

Hole = tuple[int, int]


class Look(NamedTuple):
    """What the log says of holes."""

    record: int | None
    """The first offset in them that holds a record."""
    deleted: int | None
    """Where the log begins by now, if that is above the first hole."""

    @property
    def is_explained(self) -> bool:
        """Whether the holes hold no record, and none was deleted."""
        return self == (None, None)


def ask(reader: Log, source: TopicPartition, holes: Sequence[Hole]) -> Look | None:
    """As `look`; None, with a warning, where the log can't be read now."""
    try:
        return look(reader, source, holes)
    except Exception as error:  # noqa: BLE001 - whatever it is, the watermark waits and asks again
        log.warning("skipped_unknown", extra={"partition": source, "reason": str(error)})
        return None


def look(reader: Log, source: TopicPartition, holes: Sequence[Hole]) -> Look:
    """Ask the log about `holes`, which are in rising order. Blocks while it reads.

    Reads the whole span in one go: holes of transactions stand close together.
    """
    first, last = holes[0][0], holes[-1][1]
    begin, _ = reader.span(source)
    if begin > first:
        return Look(None, begin)
    left = list(holes)
    for batch in reader.read(source, first, last):
        for record in batch:
            offset = record.offset()
            assert offset is not None, "read records have an offset"  # noqa: S101
            while left and left[0][1] <= offset:
                left.pop(0)
            if left and left[0][0] <= offset:
                return Look(offset, None)
    return Look(None, None)


class RepeatedSkips:
    """How often the client of one partition was made to read a skipped record again."""

    def __init__(self) -> None:
        self._offset = -1
        self._times = 0

    def verdict(self, source: TopicPartition, found: Look) -> str:
        """Why the partition can't go on; "" if its client is to read again from `found.record`."""
        if found.record is None:
            return (
                f"{source[0]} [{source[1]}]: offsets before {found.deleted} were skipped, and were "
                f"deleted before a worker could look whether they held jobs. {RESET_WITH}"
            )
        self._times = self._times + 1 if found.record == self._offset else 1
        self._offset = found.record
        extra = {"partition": source, "offset": found.record, "times": self._times}
        log.error("record_skipped", extra=extra)
        if self._times <= AGAIN_MAX:
            return ""
        return (
            f"{source[0]} [{source[1]}]: the Kafka client left out the record at offset "
            f"{found.record}, which is in the log, {self._times} times. Start the worker anew; the "
            "partition goes on from there"
        )


class Verdicts:
    """What is to become of lanes whose client skipped records, until the feed carries it out."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Lane, int | str]] = deque()
        self.read_from: dict[Lane, int] = {}
        """Lanes whose client was made to read again; how many records of each had come by then."""

    def read_again(self, lane: Lane, offset: int) -> None:
        """Deliver from `offset` on; may be called from any thread."""
        self._waiting.append((lane, offset))

    def refuse(self, lane: Lane, reason: str) -> None:
        """Take up nothing more of the lane; may be called from any thread."""
        self._waiting.append((lane, reason))

    @property
    def waiting(self) -> bool:
        """Whether anything is to be carried out; nearly never."""
        return bool(self._waiting)

    def carry_out(
        self,
        source: Source,
        paused: Mapping[Lane, Collection[str]],
        refuse: Callable[[TopicPartition, str], None],
    ) -> None:
        """Carry out the verdicts on lanes that are served; `paused` has all of these."""
        while self._waiting:
            lane, verdict = self._waiting.popleft()
            if lane not in paused:
                continue
            if isinstance(verdict, str):
                refuse(lane.source, verdict)
                continue
            source.start(lane.source, verdict)
            self.read_from[lane] = lane.handed
            if paused[lane]:
                source.pause([lane.source])


class Lookout:
    """Looks at what was skipped in the lanes of one process. Used on the event loop's thread."""

    def __init__(
        self,
        reader: Log,
        loop: asyncio.AbstractEventLoop,
        submit: Callable[[Callable[[], None]], object],
        verdicts: Verdicts,
    ) -> None:
        self._reader = reader
        self._loop = loop
        self._submit = submit
        """Runs what it is given where it may block."""
        self._verdicts = verdicts
        self._asked: dict[Lane, RepeatedSkips] = {}
        self._asking: set[Lane] = set()
        self._told: set[Lane] = set()
        """Lanes whose client is to read again, or whose partition is to be refused."""
        self._read: set[Lane] = set()
        """Of these, those whose client has brought something since."""

    def mind(self, lane: Lane) -> None:
        """Ask about the holes of `lane`, unless that is under way; returns at once.

        A client that is to read again is given the time for that: it polls more seldom than this
        is called, and what was left out once must not count twice.
        """
        if lane in self._told and not self._has_read(lane):
            return
        if lane not in self._asking:
            self._asking.add(lane)
            self._submit(partial(self._ask, lane, tuple(lane.watermark.holes)))

    def forget(self, lane: Lane) -> None:
        """The lane has ended."""
        self._asked.pop(lane, None)
        self._told.discard(lane)
        self._read.discard(lane)
        self._verdicts.read_from.pop(lane, None)

    def _has_read(self, lane: Lane) -> bool:
        since = self._verdicts.read_from.get(lane)
        if since is None or lane.handed == since:
            return False
        if lane not in self._read:
            self._read.add(lane)  # What was handed over is taken up before the next call.
            return False
        self._read.discard(lane)
        self._told.discard(lane)
        del self._verdicts.read_from[lane]
        return True

    def _ask(self, lane: Lane, holes: Sequence[Hole]) -> None:
        found = ask(self._reader, lane.source, holes)
        with suppress(RuntimeError):  # The loop is closed: the worker has left already.
            self._loop.call_soon_threadsafe(self._take, lane, holes, found)

    def _take(self, lane: Lane, holes: Sequence[Hole], found: Look | None) -> None:
        self._asking.discard(lane)
        if found is None or not lane.live:
            return
        if found.is_explained:
            lane.watermark.explain(holes)
            return
        self._told.add(lane)
        if reason := self._asked.setdefault(lane, RepeatedSkips()).verdict(lane.source, found):
            self._verdicts.refuse(lane, reason)
        elif found.record is not None:
            self._verdicts.read_again(lane, found.record)
