"""Reads given ranges of many partitions with one consumer, outside any group; commits nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, TopicPartition

from jobstream.errors import BrokerRefused
from jobstream.kafka.client.construct import outsider
from jobstream.kafka.client.error_kinds import is_passing
from jobstream.operate.errors import ReadStalled
from jobstream_processors.core.headers import NOT_UTF8, Carried, Headers, headers_of, parse
from jobstream_processors.errors import BadHeaders
from jobstream_schemas import CLAIM_KEY, DecodeError, parse_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from jobstream_processors.ports import Record
    from jobstream_processors.ports import TopicPartition as Place
    from jobstream_schemas import Row

    Progress = Callable[[int, int], None]

BATCH = 2_000
STALL_S_MAX = 60.0
_WAIT_S = 0.1
# Two records have to travel to see the head of a partition, so little is fetched ahead there.
HEAD_BYTES = 65_536
SCANNER: Mapping[str, Any] = {"queued.max.messages.kbytes": 8_192, "fetch.wait.max.ms": 100}


def unmoved(_done: int, _total: int) -> None:
    """Show no progress."""


def scan(
    options: Mapping[str, Any], spans: Mapping[Place, tuple[int, int]], progress: Progress = unmoved
) -> Iterator[Record]:
    """The records in [start, stop) of each partition; in order within a partition only.

    A partition ends by position: compaction leaves gaps. `progress` hears (offsets passed, offsets
    in all). Raises ReadStalled when nothing comes for a minute in which the caller waits, and
    BrokerRefused when a partition can't be read.
    """
    ranges = _Ranges(spans)
    if not ranges.left:
        return
    consumer = outsider(options, SCANNER)
    try:
        consumer.assign([TopicPartition(*at, start) for at, (start, _) in ranges.left.items()])
        heard = time.monotonic()
        while ranges.left:
            for message in filter(_is_told, consumer.consume(BATCH, _WAIT_S)):
                heard = time.monotonic()
                record, ended = ranges.take(message)
                if ended is not None:
                    consumer.pause([TopicPartition(*ended)])
                if record is not None:
                    yield record
                    # The caller may have taken its time: that is no silence of the broker's.
                    heard = time.monotonic()
            progress(ranges.passed, ranges.total)
            if time.monotonic() - heard > STALL_S_MAX:
                raise _stalled(ranges.left)
    finally:
        consumer.close()


def heads(options: Mapping[str, Any], starts: Mapping[Place, int]) -> dict[Place, Record]:
    """The first record at or after each offset; partitions that have none are left out.

    Raises ReadStalled when some bring nothing for a minute, BrokerRefused as `scan` does.
    """
    found: dict[Place, Record] = {}
    waiting = set(starts)
    if not waiting:
        return found
    consumer = outsider(options, {**SCANNER, "fetch.message.max.bytes": HEAD_BYTES})
    try:
        consumer.assign([TopicPartition(*at, start) for at, start in starts.items()])
        deadline = time.monotonic() + STALL_S_MAX
        while waiting:
            message = consumer.poll(_WAIT_S)
            if message is not None and _is_told(message) and (at := _place(message)) in waiting:
                waiting.discard(at)
                consumer.pause([TopicPartition(*at)])
                if not _is_end(message):
                    found[at] = message  # type: ignore[assignment] # it has a Record's shape
            if time.monotonic() > deadline:
                raise _stalled(waiting)
    finally:
        consumer.close()
    return found


def place_of(record: Record) -> tuple[str, int, int]:
    """Topic, partition and offset of a record."""
    return record.topic() or "", record.partition() or 0, record.offset() or 0


def carried_of(record: Record) -> Carried:
    """What its headers carry, or why they can't be read."""
    try:
        return parse(headers_of(record))
    except BadHeaders as error:
        return Carried(reason="bad_headers", message=str(error))


def row_of(record: Record) -> Row | None:
    """The row that a record of a dedup topic holds; None for a claim, and for what is no row."""
    key, value = record.key() or b"", record.value()
    if value is None or key == CLAIM_KEY:
        return None
    try:
        return parse_row(key, value)
    except DecodeError:
        return None


def headers_or_none(record: Record) -> Headers | None:
    """Its headers, None if they can't be had. To be called once for each record."""
    try:
        return headers_of(record) or []
    except BadHeaders:
        return None


def carried_by(headers: Headers | None) -> Carried:
    """What these headers carry, or why they can't be read; None for those that can't be had."""
    if headers is None:
        return Carried(reason="bad_headers", message=NOT_UTF8)
    try:
        return parse(headers)
    except BadHeaders as error:
        return Carried(reason="bad_headers", message=str(error))


def _stalled(waiting: Iterable[Place]) -> ReadStalled:
    return ReadStalled(f"no record of {sorted(waiting)[:5]} came for {STALL_S_MAX:g} s")


class _Ranges:
    """The spans still to be read, and how much has been passed."""

    def __init__(self, spans: Mapping[Place, tuple[int, int]]) -> None:
        self.left = {at: span for at, span in spans.items() if span[0] < span[1]}
        self.total = sum(stop - start for start, stop in self.left.values())
        self.passed = 0

    def take(self, message: Any) -> tuple[Record | None, Place | None]:  # noqa: ANN401 - a Message
        """The record if it is inside its range, and the partition if that has ended now."""
        at, is_end = _place(message), _is_end(message)
        if at not in self.left:
            return None, None
        start, stop = self.left[at]
        offset = message.offset()
        here = min(stop, offset if is_end else offset + 1)
        self.passed += max(0, here - start)
        self.left[at] = (max(start, here), stop)
        ended = at if here >= stop else None
        if ended is not None:
            del self.left[at]
        return (None if is_end or offset >= stop else message), ended


def _place(message: Any) -> Place:  # noqa: ANN401 - a Message
    return message.topic(), message.partition()


def _is_end(message: Any) -> bool:  # noqa: ANN401 - a Message
    """Whether it says that the end of a partition is reached, instead of being a record."""
    return message.error() is not None


def _is_told(message: Any) -> bool:  # noqa: ANN401 - a Message
    """Whether it is a record or the end of a partition; raises what can't heal by itself."""
    error = message.error()
    if error is None or error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its name
        return True
    if not is_passing(error):
        topic, partition = _place(message)
        text = f"{topic} [{partition}] can't be read: {error.str()} ({error.name()})"
        raise BrokerRefused(text)
    return False
