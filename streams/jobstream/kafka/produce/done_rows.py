"""The producer of `done` rows: rows in one call per partition, and a report counted for each.

It has no thread: a caller that waits for its rows serves the reports of all that are out.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException

from jobstream.kafka.client.error_kinds import failure_of
from jobstream.kafka.produce.lasting import REPORTS_S, Unserved, reason_of
from jobstream_processors.errors import PublishFailure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from confluent_kafka import Message

    from jobstream_processors.ports import TopicPartition

ROWS: Mapping[str, Any] = {
    "linger.ms": 5,
    # They are served only while a caller waits: statistics would pile up in an idle worker.
    "statistics.interval.ms": 0,
}
"""A flush ends the linger at once, so it only keeps a batch from being sent in pieces."""
FLUSH_S = 0.005
"""A flush waits for all that is out, the slowest partition's rows too: so it is short."""


class RowProducer(Unserved):
    """A producer for one thread. Once `broken`, it takes no more; what is out gets its answer."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._out: set[SentRows] = set()

    def send(self, place: TopicPartition, rows: Sequence[dict[str, bytes]]) -> SentRows:
        """Queue rows of one partition; blocks only while the queue is full."""
        sent = SentRows(self, place, rows)
        self._out.add(sent)
        try:
            self._queue(sent, place, rows)
        except (KafkaException, SystemError) as error:
            self.broke(error)
        return sent

    def ended(self, sent: SentRows) -> None:
        """Every one of these rows has its answer."""
        self._out.discard(sent)

    def broke(self, error: KafkaException | SystemError) -> None:
        """Reports may be lost with the error: nothing that is out counts as acknowledged."""
        super().broke(error)
        for sent in list(self._out):
            sent.give_up(reason_of(error))

    @staticmethod
    def _queue(sent: SentRows, place: TopicPartition, rows: Sequence[dict[str, bytes]]) -> None:
        topic, partition = place
        producer, left = sent.by.producer, list(rows)
        while producer.produce_batch(topic, left, partition, on_delivery=sent.report) < len(left):
            # The library marks those that it did not take.
            marked = [(row, row.pop("_error")) for row in left if "_error" in row]
            left = []
            for row, error in marked:
                if error.code() == KafkaError._QUEUE_FULL:  # type: ignore[attr-defined] # noqa: SLF001 - the library's mark and name
                    left.append(row)
                else:
                    sent.refuse(row["key"], error)  # type: ignore[arg-type] # the library's mark
            producer.flush(0.1)


class SentRows:
    """Rows of one partition on their way."""

    def __init__(
        self, by: RowProducer, place: TopicPartition, rows: Sequence[dict[str, bytes]]
    ) -> None:
        self.by = by
        self._place = place
        self._rows = rows
        self._left = len(rows)
        self._bad: dict[bytes, PublishFailure] = {}
        self._until_s = time.monotonic() + REPORTS_S

    def failures(self, timeout_s: float) -> Mapping[int, PublishFailure] | None:
        """What was not acknowledged; None while there is no answer. Waits at most `timeout_s`."""
        until_s = time.monotonic() + timeout_s
        while self._left > 0:
            self.by.flush(min(FLUSH_S, max(0.0, until_s - time.monotonic())))
            now_s = time.monotonic()
            if now_s >= self._until_s:
                self.give_up(f"no report within {REPORTS_S:g} s; it may still be written")
            elif now_s >= until_s and self._left > 0:
                return None
        if not self._bad:
            return {}
        keys = [row["key"] for row in self._rows]
        return {index: self._bad[key] for index, key in enumerate(keys) if key in self._bad}

    def report(self, error: KafkaError | None, message: Message) -> None:
        """A delivery report."""
        if error is not None:
            self._fail(message.key() or b"", error)
        self._answered()

    def refuse(self, key: bytes, error: KafkaError) -> None:
        """The client library would not even take the row."""
        self._fail(key, error)
        self._answered()

    def give_up(self, reason: str) -> None:
        """Count none of the rows as acknowledged."""
        self._left = 0
        self.by.ended(self)
        self._bad = {row["key"]: PublishFailure(reason) for row in self._rows}

    def _answered(self) -> None:
        self._left -= 1
        if not self._left:
            self.by.ended(self)

    def _fail(self, key: bytes, error: KafkaError) -> None:
        self._bad[key] = failure_of(error)
        self.by.told(error)
