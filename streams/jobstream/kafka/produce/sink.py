"""Publishes records with an idempotent producer; returns when every one is acknowledged."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException

from jobstream.kafka.client.error_kinds import failure_of
from jobstream.kafka.produce.done_rows import ROWS, RowProducer
from jobstream.kafka.produce.lasting import PRODUCER, REPORTS_S, Lasting, Served
from jobstream_processors.errors import PublishFailed, PublishFailure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from confluent_kafka import KafkaError, Message

    from jobstream.kafka.client.broker_clock import BrokerClock
    from jobstream_processors.ports import Outgoing, Sent, Told, TopicPartition


class KafkaSink:
    """The `Sink` port on Kafka. Safe to use from several threads."""

    def __init__(
        self,
        options: Mapping[str, Any],
        clock: BrokerClock,
        watched: Mapping[str, Any] | None = None,
    ) -> None:
        """`watched` holds options for statistics, for the one producer that is always polled."""
        options = {**options, **PRODUCER}
        polled = {**options, **(watched or {})}
        self._clock = clock
        self._records = Lasting(lambda: Served(polled, "jobstream-sink"))
        self._rows = Lasting(lambda: RowProducer({**options, **ROWS}))

    def publish(self, records: Sequence[Outgoing]) -> Mapping[TopicPartition, int]:
        """Block until all are acknowledged or given up after two minutes; raises PublishFailed."""
        if not records:
            return {}
        batch = self._send(records)
        failures = batch.failures(REPORTS_S)
        if failures:
            raise PublishFailed(failures)
        return batch.offsets()

    def send(self, records: Sequence[Outgoing]) -> Sent:
        """Queue records and return; blocks only while the client's queue is full."""
        return self._send(records)

    def _send(self, records: Sequence[Outgoing]) -> _Batch:
        served = self._records.get()
        batch = _Batch(records, self._clock, served)
        produce = served.producer.produce
        acked = batch.acked
        for index, (topic, key, value, partition, headers) in enumerate(records):
            while True:
                try:
                    if headers is None:
                        produce(topic, value, key, partition, acked)
                    else:
                        produce(topic, value, key, partition, acked, headers=headers)  # type: ignore[arg-type] # list is invariant
                except BufferError:
                    served.wait_for_room()
                    continue
                except KafkaException as error:
                    batch.refuse(index, error.args[0])
                break
        batch.sent()
        return batch

    def publish_soon(self, record: Outgoing, done: Told) -> None:
        """Queue one record and return; `done` hears why it was not acknowledged, or None.

        It is called on the thread that serves reports, or here if the client takes no more.
        """
        served = self._records.get()
        topic, key, value, partition, _ = record

        def report(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                served.told(error)
            done(None if error is None else failure_of(error))

        try:
            served.producer.produce(topic, value, key, partition, report)
        except BufferError:
            done(PublishFailure("the client's queue is full", code="_QUEUE_FULL"))
        except KafkaException as error:
            done(failure_of(error.args[0]))

    def send_rows(self, place: TopicPartition, rows: Sequence[dict[str, bytes]]) -> Sent:
        """Queue rows and return; blocks only while the client's queue is full.

        Used by one thread only. Its producer has no thread that serves reports: they are served
        while what this returns is waited for.
        """
        return self._rows.get().send(place, rows)

    def close(self, timeout_s: float = 5.0) -> None:
        """Flush for at most `timeout_s` and stop."""
        self._records.close(timeout_s)
        self._rows.close(timeout_s)

    def abandon(self) -> None:
        """End what is still queued and send nothing more."""
        self._records.abandon()
        self._rows.abandon()


class _Batch:
    """One publish under way: counts reports, keeps the last offset per partition and failures."""

    def __init__(self, records: Sequence[Outgoing], clock: BrokerClock, by: Served) -> None:
        self._records = records
        self._clock = clock
        self._by = by
        self._told = False
        self._until_s = time.monotonic() + REPORTS_S
        self._sent_ms = clock.monotonic_ms()
        self._reported = 0
        self._expected = -1
        self._refused = 0
        self._done = threading.Event()
        self._lasts: dict[TopicPartition, Message] = {}
        """The last record of each partition that was acknowledged."""
        self._bad: list[tuple[KafkaError, Message]] = []
        self._failures: dict[int, PublishFailure] = {}

    def acked(self, error: KafkaError | None, message: Message) -> None:
        """A delivery report, on the producer's poll thread."""
        if error is None:
            place = (message.topic(), message.partition())
            self._lasts[place] = message  # type: ignore[index] # acked records have both
        else:
            self._bad.append((error, message))
            self._by.told(error)
        self._reported += 1
        if self._reported == self._expected:
            self._done.set()

    def refuse(self, index: int, error: KafkaError) -> None:
        """The client library would not even take the record."""
        self._failures[index] = failure_of(error)
        self._by.told(error)
        self._refused += 1

    def sent(self) -> None:
        """All records are with the client, or refused by it."""
        self._expected = len(self._records) - self._refused
        if self._reported == self._expected:
            self._done.set()

    def failures(self, timeout_s: float) -> Mapping[int, PublishFailure] | None:
        """What was not acknowledged; None while there is no answer. Waits at most `timeout_s`."""
        if not self._told and self._done.wait(timeout_s):
            self._tell()
        elif not self._told and time.monotonic() >= self._until_s:
            lost = PublishFailure(f"no report within {REPORTS_S:g} s; it may still be written")
            self._failures = dict.fromkeys(range(len(self._records)), lost) | self._failures
            self._tell()
        return self._failures if self._told else None

    def offsets(self) -> Mapping[TopicPartition, int]:
        """The last offset per partition."""
        return {place: last.offset() or 0 for place, last in self._lasts.items()}

    def _tell(self) -> None:
        self._told = True
        stamps = {place: last.timestamp()[1] for place, last in self._lasts.items()}
        self._clock.reported(stamps, self._sent_ms)
        for error, message in self._bad:
            self._blame(error, message)

    def _blame(self, error: KafkaError, message: Message) -> None:
        # Records with the same bytes share the blame: publishing one again is always harmless.
        mark = (message.topic(), message.key(), message.value())
        for index, record in enumerate(self._records):
            if (record.topic, record.key, record.value) == mark:
                self._failures[index] = failure_of(error)
