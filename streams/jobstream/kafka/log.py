"""Reads topics outside any consumer group: the dedup table, mirrors, schemas, dead letters."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from jobstream.kafka.error_kinds import is_passing
from jobstream_processors.errors import TableUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jobstream_processors.ports import Record
    from jobstream_processors.ports import TopicPartition as Place

READ_BATCH = 5_000
STALL_S_MAX = 60.0
_TIMEOUT_S = 10.0
_ASK_S = 5.0
FAIL_OVER_S = 30.0


class KafkaLog:
    """The `Log` port on Kafka. Safe to use from several threads."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = dict(options)
        self._admin: AdminClient | None = None
        self._asking: Consumer | None = None
        self._ids: dict[str, str] = {}
        self._lock = threading.Lock()

    def read(self, partition: Place, start: int, stop: int) -> Iterator[Sequence[Record]]:
        """Batches of the records in [start, stop).

        Ends by position, not by the last record seen: compaction leaves gaps. Raises
        TableUnavailable when nothing comes for a minute.
        """
        if start >= stop:
            return
        topic, number = partition
        consumer = self._consumer()
        try:
            consumer.assign([TopicPartition(topic, number, start)])
            deadline = time.monotonic() + STALL_S_MAX
            position = start
            while position < stop:
                found, position = self._some(consumer, position)
                if found:
                    deadline = time.monotonic() + STALL_S_MAX
                    inside = found if position <= stop else [m for m in found if _at(m) < stop]
                    if inside:
                        yield inside
                elif time.monotonic() > deadline:
                    message = f"{topic} [{number}]: stuck at offset {position} of {stop}"
                    raise TableUnavailable(message)
        finally:
            consumer.close()

    def span(self, partition: Place) -> tuple[int, int]:
        """(first offset kept, next offset to be written).

        Blocks while a broker fails over, for half a minute at most; then raises KafkaException.
        """
        until = time.monotonic() + FAIL_OVER_S
        with self._lock:
            while True:
                try:
                    return self._ask_span(partition)
                except KafkaException as error:
                    # A client may go on asking the broker it knew; a new one looks for the leader.
                    self._asking = None
                    if time.monotonic() > until or not is_passing(error.args[0]):
                        raise

    def close(self) -> None:
        """Give back its connections; whoever asks again gets new ones."""
        with self._lock:
            asking, self._asking, self._admin = self._asking, None, None
        if asking is not None:
            asking.close()

    def _ask_span(self, partition: Place) -> tuple[int, int]:
        if self._asking is None:
            self._asking = self._consumer()
        place = TopicPartition(*partition)
        low, high = self._asking.get_watermark_offsets(place, _ASK_S, cached=False)
        return low, high

    def topic_id(self, topic: str) -> str:
        """The id of this incarnation of the topic; asked once, as a topic keeps it for life."""
        with self._lock:
            if topic not in self._ids:
                self._ids[topic] = self._ask_id(topic)
            return self._ids[topic]

    def _ask_id(self, topic: str) -> str:
        if self._admin is None:
            self._admin = AdminClient(dict(self._options))
        futures = self._admin.describe_topics(TopicCollection([topic]), request_timeout=_TIMEOUT_S)
        return str(futures[topic].result().topic_id)

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; 0 if it does not exist. Blocks up to 10 s."""
        consumer = self._consumer()
        try:
            found = consumer.list_topics(topic, _TIMEOUT_S).topics[topic]
        finally:
            consumer.close()
        return 0 if found.error is not None else len(found.partitions)

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                **self._options,
                # A group id is required by the client library; nothing is committed under it.
                "group.id": "jobstream-reader",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "queued.min.messages": 10_000,
                "queued.max.messages.kbytes": 4_096,
                "fetch.queue.backoff.ms": 10,
            }
        )

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
                raise KafkaException(error)
        return found, position


def _at(record: Record) -> int:
    offset = record.offset()
    assert offset is not None, "consumed records have an offset"  # noqa: S101
    return offset
