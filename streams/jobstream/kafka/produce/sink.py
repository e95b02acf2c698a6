"""Publishes records with an idempotent producer; returns when every one is acknowledged."""

from __future__ import annotations

import logging
import math
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException, Producer

from jobstream.kafka.client.error_kinds import failure_of, is_fatal
from jobstream.kafka.produce.done_rows import REPORTS_S, ROWS, RowProducer, tell_broken
from jobstream_processors.background import in_background
from jobstream_processors.errors import PublishFailed, PublishFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from confluent_kafka import KafkaError, Message

    from jobstream.kafka.client.broker_clock import BrokerClock
    from jobstream_processors.ports import Outgoing, Sent, Told, TopicPartition

log = logging.getLogger("jobstream.kafka")

PRODUCER: Mapping[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    "partitioner": "murmur2_random",
    # A question about a topic would create it, where the broker allows that, by its defaults.
    "allow.auto.create.topics": False,
    "linger.ms": 1,
    # Far above a broker's fail-over: a record given up earlier leaves its outcome unknown.
    "message.timeout.ms": 120_000,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 262_144,
}


class KafkaSink:
    """The `Sink` port on Kafka. Safe to use from several threads."""

    def __init__(
        self,
        options: Mapping[str, Any],
        clock: BrokerClock,
        watched: Mapping[str, Any] | None = None,
    ) -> None:
        """`watched` holds options for statistics, for the one producer that is always polled."""
        self._options = {**options, **PRODUCER}
        self._watched = watched or {}
        self._clock = clock
        self._lock = threading.Lock()
        self._poller: _Poller | None = None
        self._rows: RowProducer | None = None

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
        poller = self._producer()
        batch = _Batch(records, self._clock, partial(self._ended, poller))
        produce = poller.producer.produce
        acked = batch.acked
        for index, (topic, key, value, partition, headers) in enumerate(records):
            while True:
                try:
                    if headers is None:
                        produce(topic, value, key, partition, acked)
                    else:
                        produce(topic, value, key, partition, acked, headers=headers)  # type: ignore[arg-type] # list is invariant
                except BufferError:
                    poller.wait_for_room()
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
        poller = self._producer()
        topic, key, value, partition, _ = record

        def report(error: KafkaError | None, _: Message) -> None:
            if error is not None and is_fatal(error):
                self._replace(poller)
            done(None if error is None else failure_of(error))

        try:
            poller.producer.produce(topic, value, key, partition, report)
        except BufferError:
            done(PublishFailure("the client's queue is full", code="_QUEUE_FULL"))
        except KafkaException as error:
            done(failure_of(error.args[0]))

    def send_rows(self, place: TopicPartition, rows: Sequence[dict[str, bytes]]) -> Sent:
        """Queue rows and return; blocks only while the client's queue is full.

        Used by one thread only. Its producer has no thread that serves reports: they are served
        while what this returns is waited for.
        """
        if self._rows is None or self._rows.broken:
            self._rows = RowProducer({**self._options, **ROWS})
        return self._rows.send(place, rows)

    def close(self, timeout_s: float = 5.0) -> None:
        """Flush for at most `timeout_s` and stop."""
        with self._lock:
            poller, self._poller = self._poller, None
        if poller is not None:
            poller.close(timeout_s)
        rows, self._rows = self._rows, None
        if rows is not None:
            rows.producer.flush(timeout_s)

    def abandon(self) -> None:
        """End what is still queued and send nothing more."""
        with self._lock:
            poller, self._poller = self._poller, None
        if poller is not None:
            poller.producer.purge()
            poller.close(0.0)
        if self._rows is not None:
            self._rows.producer.purge()

    def _producer(self) -> _Poller:
        with self._lock:
            if self._poller is None or self._poller.broken:
                self._poller = _Poller({**self._options, **self._watched})
            return self._poller

    def _ended(self, poller: _Poller, fatal: bool) -> None:  # noqa: FBT001 - as a batch calls it
        if fatal or poller.broken:
            self._replace(poller)

    def _replace(self, broken: _Poller) -> None:
        """A producer with a fatal error never works again; the next publish makes a new one.

        Others may wait for reports of the old one: it serves them to the last.
        """
        with self._lock:
            if self._poller is broken:
                self._poller = None
        broken.retire()


class _Poller:
    """A producer and the one thread that serves its delivery reports."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.producer = Producer(dict(options))
        self.room = threading.Event()
        self.broken = False
        """Whether it broke for good, see `is_fatal`: what it still holds is reported as failed."""
        self._serve_until = math.inf
        self._closing = False
        self._thread = in_background("jobstream-sink", self._serve, self._ended)

    def wait_for_room(self) -> None:
        """Block until some record was reported since the last call, 50 ms at most."""
        self.room.wait(0.05)
        self.room.clear()

    def close(self, timeout_s: float) -> None:
        """Serve what is out for at most `timeout_s`, then stop. Blocks until then."""
        self._serve_until = time.monotonic() + timeout_s
        self._closing = True
        self._thread.join(timeout_s + 1.0)

    def retire(self) -> None:
        """Stop once all that is out is reported; returns at once."""
        self._closing = True

    def _ended(self, error: BaseException) -> None:
        """A fault of ours: what is under way finds no report, the next publish makes a new one."""
        self.broken = True
        log.error("sink_failed", exc_info=error, extra={"reason": repr(error)})

    def _serve(self) -> None:
        while not self._closing or self._has_reports_due():
            if self.broken:
                # A record that was just being queued would stay until it is too old. What is under
                # way is left alone: brokers answer for it.
                self.producer.purge(in_flight=False)
            try:
                served = self.producer.poll(0.1)
            except KafkaException as error:
                # Raised once, where events are served, and nowhere else.
                self.broken = True
                tell_broken(error)
            else:
                if served:
                    self.room.set()

    def _has_reports_due(self) -> bool:
        return len(self.producer) > 0 and time.monotonic() < self._serve_until


class _Batch:
    """One publish under way: counts reports, keeps the last offset per partition and failures."""

    def __init__(
        self, records: Sequence[Outgoing], clock: BrokerClock, ended: Callable[[bool], object]
    ) -> None:
        """`ended` hears, once all is answered, whether the client said that it is broken."""
        self._records = records
        self._clock = clock
        self._ended = ended
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
        self.fatal = False

    def acked(self, error: KafkaError | None, message: Message) -> None:
        """A delivery report, on the producer's poll thread."""
        if error is None:
            place = (message.topic(), message.partition())
            self._lasts[place] = message  # type: ignore[index] # acked records have both
        else:
            self._bad.append((error, message))
        self._reported += 1
        if self._reported == self._expected:
            self._done.set()

    def refuse(self, index: int, error: KafkaError) -> None:
        """The client library would not even take the record."""
        self._failures[index] = failure_of(error)
        self.fatal = self.fatal or is_fatal(error)
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
        self._ended(self.fatal)

    def _blame(self, error: KafkaError, message: Message) -> None:
        # Records with the same bytes share the blame: publishing one again is always harmless.
        mark = (message.topic(), message.key(), message.value())
        for index, record in enumerate(self._records):
            if (record.topic, record.key, record.value) == mark:
                self._failures[index] = failure_of(error)
