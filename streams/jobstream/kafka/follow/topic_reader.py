"""Reads topics outside any consumer group: the dedup table, mirrors, schemas, dead letters."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from jobstream.errors import BrokerRefused, BrokerUnavailable
from jobstream.kafka.client.admin_calls import AGAIN_S, MISSING, Asking
from jobstream.kafka.client.construct import outsider
from jobstream.kafka.client.error_kinds import is_passing
from jobstream_processors.errors import TableUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence

    from confluent_kafka.admin import (  # type: ignore[attr-defined] # public, not marked as such
        TopicDescription,
    )

    from jobstream_processors.ports import Record
    from jobstream_processors.ports import TopicPartition as Place

log = logging.getLogger("jobstream.kafka")

Answer = TypeVar("Answer")

READ_BATCH = 1_000
READER: Mapping[str, Any] = {
    # Several read at once while tables are closed or taken over, each of these sizes.
    "queued.min.messages": 10_000,
    "queued.max.messages.kbytes": 1_024,
    "fetch.message.max.bytes": 262_144,
    "fetch.queue.backoff.ms": 10,
}
LOOK_S = 0.5
"""How long a read goes on without giving its caller a turn."""
CLOSE_S = 1.0
"""How long a close waits for a call under way; the process may be leaving."""
STALL_S_MAX = 60.0
DRY_S = 5.0
"""A client that brings nothing for so long is replaced by a new one."""
ASKING_MAX = 4
IDLE_S = 10.0
"""Clients that ask, each of which is four threads, end when no call needed them for so long."""
_ASK_S = 5.0
FAIL_OVER_S = 30.0
DELETED_LOOKS = 2
DELETED_FIX = (
    "what needs the topic waits, or stops with its partitions; the rest goes on. Make it again, "
    "empty, with: jobstream topics apply MODULE:APP"
)


class KafkaLog:
    """The `Log` port on Kafka. Safe to use from several threads.

    Raises BrokerUnavailable when no broker answers, BrokerRefused when one says no. It changes
    nothing, so every call may be repeated.
    """

    def __init__(self, options: Mapping[str, Any], wait_s: float | None = None) -> None:
        """Prepare; nothing is sent yet.

        `wait_s` bounds how long a call goes on without an answer, give or take its last attempt;
        None: as long as a worker waits, a minute for a record and half a minute for the rest.
        """
        self._options = dict(options)
        self._stall_s = STALL_S_MAX if wait_s is None else wait_s
        self._wait_s = FAIL_OVER_S if wait_s is None else wait_s
        self._pause = threading.Event()
        self._admin: Asking | None = None
        self._asking: deque[tuple[Consumer, float]] = deque()
        """Clients that are free, and when they answered; the last of them is used next."""
        self._ids: dict[str, str] = {}
        self._gone: dict[str, int] = {}
        """Topics of these that no broker knew, and at how many looks in a row."""
        self._lock = threading.Lock()

    def read(self, partition: Place, start: int, stop: int) -> Iterator[Sequence[Record]]:
        """Batches of the records in [start, stop); an empty one where none came for half a second.

        Ends by position, not by the last record seen: compaction leaves gaps. Blocks for as long
        as records come. Raises TableUnavailable when none comes within the wait.
        """
        if start >= stop:
            return
        position = start
        moved_s = told_s = time.monotonic()
        while position < stop:
            # One that brings nothing may have lost its fetch, or ask a broker that is dead.
            with closing(self._from(partition, position)) as one_client:
                for found, at in one_client:
                    now_s = time.monotonic()
                    if at > position:
                        position, moved_s = at, now_s
                    elif now_s > moved_s + self._stall_s:
                        where = f"{partition[0]} [{partition[1]}]"
                        message = f"{where}: stuck at offset {position} of {stop}"
                        raise TableUnavailable(message)
                    inside = found if position <= stop else [m for m in found if _at(m) < stop]
                    if inside:
                        yield inside
                        # What the caller did with it took time in which no broker was silent.
                        moved_s = told_s = time.monotonic()
                    elif now_s > told_s + LOOK_S:
                        yield ()
                        told_s = time.monotonic()
                    if position >= stop:
                        return

    def span(self, partition: Place) -> tuple[int, int]:
        """(first offset kept, next offset to be written).

        Blocks while a broker fails over, for the wait at most.
        """
        return self._ask(partition, lambda consumer, wait_s: _span(consumer, partition, wait_s))

    def since(self, partition: Place, at_ms: int) -> int:
        """The first offset appended at broker time `at_ms` or later; blocks as above."""
        return self._ask(
            partition, lambda consumer, wait_s: _since(consumer, partition, at_ms, wait_s)
        )

    def _ask(self, partition: Place, ask: Callable[[Consumer, float], Answer]) -> Answer:
        until = time.monotonic() + self._wait_s
        while True:
            try:
                consumer, _ = self._asking.pop()
            except IndexError:
                consumer = outsider(self._options, READER)
            try:
                answer = ask(consumer, min(_ASK_S, self._wait_s))
            except KafkaException as error:
                # A client may go on asking the broker it knew; a new one looks for the leader.
                cause = error.args[0]
                if not is_passing(cause) or time.monotonic() > until:
                    raise _unread(partition, cause) from error
            else:
                self._keep(consumer)
                return answer
            self._pause.wait(AGAIN_S)

    def _keep(self, consumer: Consumer) -> None:
        now_s = time.monotonic()
        if len(self._asking) < ASKING_MAX:
            self._asking.append((consumer, now_s))
        else:
            consumer.close()
        with suppress(IndexError):
            oldest, answered_s = self._asking.popleft()
            if answered_s > now_s - IDLE_S:
                self._asking.appendleft((oldest, answered_s))
            else:
                oldest.close()

    def close(self) -> None:
        """Give back its connections; the next call makes new ones.

        Those that somebody is asking right now, and for longer than a second, stay with him.
        """
        if not self._lock.acquire(timeout=CLOSE_S):
            return
        try:
            self._admin = None
        finally:
            self._lock.release()
        while self._asking:
            self._asking.pop()[0].close()

    def topic_id(self, topic: str, *, anew: bool = False) -> str:
        """The id of this incarnation of the topic; remembered from the last answer unless `anew`.

        Then it asks for all ids that it remembers, in one request. Blocks while a broker fails
        over, for the wait at most.
        """
        with self._lock:
            if anew or topic not in self._ids:
                found = self._describe({topic, *self._ids} if anew else {topic})
                if anew:
                    self._tell_deleted(found)
                if topic not in found:
                    message = f"topic {topic} does not exist"
                    raise BrokerRefused(message)
                self._ids |= {name: str(told.topic_id) for name, told in found.items()}
            return self._ids[topic]

    def _tell_deleted(self, found: Collection[str]) -> None:
        """Name each topic that is gone, once, after two looks: a broker may have just come up."""
        self._gone = {name: self._gone.get(name, 0) + 1 for name in self._ids if name not in found}
        for topic in [name for name, looks in self._gone.items() if looks == DELETED_LOOKS]:
            log.error("topic_deleted", extra={"topic": topic, "fix": DELETED_FIX})

    def known_id(self, topic: str) -> str:
        """The id as last heard, "" if it never was; asks no broker and never blocks."""
        return self._ids.get(topic, "")

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; 0 if it does not exist. Blocks as above."""
        with self._lock:
            found = self._describe({topic}).get(topic)
        return 0 if found is None else len(found.partitions)

    def _describe(self, topics: Collection[str]) -> Mapping[str, TopicDescription]:
        """What the cluster says of those topics that there are; only with the lock."""
        if self._admin is None:
            self._admin = Asking(self._options, self._wait_s)
        return self._admin.described(topics, MISSING)

    def _from(self, partition: Place, start: int) -> Generator[tuple[list[Record], int]]:
        """What one client brings from `start` on, with the position after it; until it is dry."""
        consumer, dry_s = outsider(self._options, READER), time.monotonic() + DRY_S
        try:
            consumer.assign([TopicPartition(*partition, start)])
            position = start
            while time.monotonic() < dry_s:
                found, at = self._some(consumer, position)
                moved, position = at > position, max(at, position)
                yield found, position
                if moved:
                    dry_s = time.monotonic() + DRY_S
        finally:
            consumer.close()

    @staticmethod
    def _some(consumer: Consumer, position: int) -> tuple[list[Record], int]:
        """The next records, and the position after them."""
        found: list[Record] = []
        for message in consumer.consume(READ_BATCH, 0.02):
            error = message.error()
            if error is None:
                found.append(message)  # type: ignore[arg-type] # a Message has a Record's shape
                position = _at(found[-1]) + 1
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the library's name
                # The end as it is now; offsets below it that brought no record are gaps.
                position = max(position, message.offset() or 0)
            elif not is_passing(error):
                raise _unread((message.topic(), message.partition()), error)
        return found, position


def _span(consumer: Consumer, partition: Place, wait_s: float) -> tuple[int, int]:
    low, high = consumer.get_watermark_offsets(TopicPartition(*partition), wait_s, cached=False)
    return low, high


def _since(consumer: Consumer, partition: Place, at_ms: int, wait_s: float) -> int:
    (found,) = consumer.offsets_for_times([TopicPartition(*partition, at_ms)], timeout=wait_s)
    if found.error is not None:
        raise KafkaException(found.error)
    return found.offset if found.offset >= 0 else _span(consumer, partition, wait_s)[1]


def _unread(partition: Place | tuple[str | None, int | None], error: KafkaError) -> Exception:
    kind = BrokerUnavailable if is_passing(error) else BrokerRefused
    return kind(f"{partition[0]} [{partition[1]}] can't be read: {error.str()} ({error.name()})")


def _at(record: Record) -> int:
    offset = record.offset()
    assert offset is not None, "consumed records have an offset"  # noqa: S101
    return offset
