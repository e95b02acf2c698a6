"""Step 1 to 3 of a job's way: validate, derive ids, encode, send, wait for the acknowledgement."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import uuid_utils

from jobstream.errors import (
    ConfigError,
    EnqueueError,
    EnqueuesFailed,
    EnqueueTimeout,
    JobTooLarge,
    QueueFull,
    TopicMismatch,
    TopicMissing,
)
from jobstream.kafka.schema_topic import schema_record
from jobstream_processors.core import identity
from jobstream_processors.core.duration import Duration, to_ms
from jobstream_processors.core.headers import Trip, render
from jobstream_processors.core.partition import partition_for
from jobstream_processors.ports import Outgoing
from jobstream_schemas import Meta

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream_processors.queues import QueuePlan
    from jobstream_schemas import JobCodec

Done = Callable[[Exception | None, int, int], None]
"""Called with (error, partition, offset) once a record is acknowledged or given up."""

FAILURES_MAX = 100


@dataclass(frozen=True, slots=True)
class Enqueued:
    """An acknowledged job: it is in the log. That says nothing of whether it has run."""

    job_id: str
    topic: str
    """Its queue's topic, or a rung of the delay ladder for a delayed job."""
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class When:
    """How a job is to be enqueued; every field is optional."""

    delay: Duration | None = None
    run_at: datetime | None = None
    key: str | None = None
    idempotency_key: str | None = None
    expires_in: Duration | None = None
    correlation_id: str | None = None


class Transport(Protocol):
    """The way to a broker."""

    def submit(self, record: Outgoing, done: Done) -> None:
        """Queue one record and return at once; raises QueueFull or EnqueueError."""

    def wait_for_room(self, timeout_s: float) -> bool:
        """Block until there may be room again; False if the time is over."""

    def partitions(self, topic: str) -> int:
        """The topic's partition count, 0 if it does not exist."""

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what is queued and stop."""


class Client:
    """Enqueues jobs of one app. Safe to use from any thread and any event loop."""

    def __init__(
        self, transport: Transport, schemas_topic: str, *, timeout_ms: int, bytes_max: int
    ) -> None:
        self._transport = transport
        self._schemas_topic = schemas_topic
        self._timeout_s = timeout_ms / 1000
        self._bytes_max = bytes_max
        self._known: set[bytes] = set()
        self._checked: set[str] = set()
        self._source = socket.gethostname()[:128]

    def enqueue(
        self, codec: JobCodec[Any], plan: QueuePlan, meta: Meta, record: Outgoing
    ) -> Enqueued:
        """Send and block until acknowledged, at most the enqueue timeout."""
        self.prepare(codec, plan, record)
        waiter = _Waiter()
        self._submit(record, waiter.done)
        partition, offset = waiter.wait(self._timeout_s, meta.id)
        return Enqueued(meta.id, record.topic, partition, offset)

    async def aenqueue(
        self, codec: JobCodec[Any], plan: QueuePlan, meta: Meta, record: Outgoing
    ) -> Enqueued:
        """The same without blocking the running loop."""
        if codec.schema.fingerprint not in self._known or record.topic not in self._checked:
            await asyncio.to_thread(self.prepare, codec, plan, record)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[tuple[int, int]] = loop.create_future()

        def finish(error: Exception | None, partition: int, offset: int) -> None:
            if future.done():
                return
            if error is None:
                future.set_result((partition, offset))
            else:
                future.set_exception(error)

        def done(error: Exception | None, partition: int, offset: int) -> None:
            loop.call_soon_threadsafe(finish, error, partition, offset)

        try:
            self._transport.submit(record, done)
        except QueueFull:
            await asyncio.to_thread(self._submit, record, done)
        try:
            partition, offset = await asyncio.wait_for(future, self._timeout_s)
        except TimeoutError as error:
            raise _timeout(meta.id, self._timeout_s) from error
        return Enqueued(meta.id, record.topic, partition, offset)

    def enqueue_many(
        self,
        codec: JobCodec[Any],
        plan: QueuePlan,
        jobs: Iterable[tuple[Meta, Outgoing]],
    ) -> list[str]:
        """Send all, pipelined; block until every one is acknowledged. Returns their ids."""
        tally = _Tally()
        ids: list[str] = []
        for index, (meta, record) in enumerate(jobs):
            if index == 0:
                self.prepare(codec, plan, record)
            ids.append(meta.id)
            tally.sent()
            try:
                self._submit(record, lambda e, _p, _o, i=index: tally.done(i, e))  # type: ignore[misc]
            except EnqueueError as error:
                tally.done(index, error)
        tally.wait(self._timeout_s)
        tally.check(ids)
        return ids

    def compose(
        self,
        codec: JobCodec[Any],
        plan: QueuePlan,
        args: Any,  # noqa: ANN401 - generic in the job type
        when: When,
        *,
        job_id: str | None = None,
        parent_id: str | None = None,
    ) -> tuple[Meta, Outgoing]:
        """Steps 1 and 2: the job's meta, and the record to send."""
        now_ms = time.time_ns() // 1_000_000
        if when.key is not None:
            identity.check_key("key", when.key)
        if job_id is None:
            job_id = (
                identity.from_caller(codec.schema.job_type, when.idempotency_key)
                if when.idempotency_key is not None
                else str(uuid_utils.uuid7())
            )
        expires = to_ms(when.expires_in, name="expires_in") if when.expires_in is not None else None
        meta = Meta(
            id=job_id,
            enqueued_at=now_ms,
            source=self._source,
            order_key=when.key,
            expires_at=None if expires is None else now_ms + expires,
            parent_id=parent_id,
            correlation_id=when.correlation_id,
        )
        value = codec.encode(meta, args)
        if len(value) > self._bytes_max:
            message = (
                f"job {codec.schema.job_type!r} has {len(value)} bytes, the cap is "
                f"{self._bytes_max}; put the bulk in a store and enqueue a reference to it"
            )
            raise JobTooLarge(message)
        return meta, _placed(plan, (when.key or job_id).encode(), value, when, now_ms)

    def prepare(self, codec: JobCodec[Any], plan: QueuePlan, record: Outgoing) -> None:
        """At first use of a topic or schema: check the one, publish the other. Blocks."""
        if record.topic not in self._checked:
            self._check(plan, record.topic)
        fingerprint = codec.schema.fingerprint
        if fingerprint not in self._known:
            if not self._transport.partitions(self._schemas_topic):
                raise _missing(self._schemas_topic)
            waiter = _Waiter()
            self._submit(schema_record(self._schemas_topic, codec.schema), waiter.done)
            waiter.wait(self._timeout_s, f"schema {fingerprint.hex()}")
            self._known.add(fingerprint)

    def close(self) -> None:
        """Send what is queued and stop."""
        self._transport.close()

    def _check(self, plan: QueuePlan, topic: str) -> None:
        count = self._transport.partitions(topic)
        if not count:
            raise _missing(topic)
        if topic == plan.topic and count != plan.partitions:
            message = (
                f"topic {topic} has {count} partitions, queue {plan.name!r} declares "
                f"{plan.partitions}; the count is fixed for a queue's life: declare {count}"
            )
            raise TopicMismatch(message)
        self._checked.add(topic)

    def _submit(self, record: Outgoing, done: Done) -> None:
        """Queue one record, waiting for room at most the enqueue timeout."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                self._transport.submit(record, done)
            except QueueFull:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
                self._transport.wait_for_room(min(left, 0.1))
            else:
                return


def _placed(plan: QueuePlan, key: bytes, value: bytes, when: When, now_ms: int) -> Outgoing:
    """The record on the queue, or on the ladder for a delayed job."""
    if when.delay is not None and when.run_at is not None:
        message = "delay and run_at are both given; give one"
        raise ConfigError(message)
    if when.run_at is not None:
        if when.run_at.tzinfo is None:
            message = f"run_at={when.run_at!r} has no time zone; give an aware datetime"
            raise ConfigError(message)
        due_ms = round(when.run_at.timestamp() * 1000)
        left = due_ms - now_ms
        trip = Trip(due_ms=due_ms)
    else:
        left = to_ms(when.delay, name="delay") if when.delay is not None else 0
        trip = Trip(delay_ms=left)
    if left <= 0:
        return Outgoing(plan.topic, key, value)
    destination = partition_for(key, plan.partitions)
    topic, partition = plan.rung(left, destination)
    headers = render(Trip(delay_ms=trip.delay_ms, due_ms=trip.due_ms, partition=destination))
    return Outgoing(topic, key, value, partition, headers)


class _Waiter:
    """Waits for one acknowledgement."""

    __slots__ = ("_error", "_event", "_place")

    def __init__(self) -> None:
        self._event = threading.Event()
        self._error: Exception | None = None
        self._place = (-1, -1)

    def done(self, error: Exception | None, partition: int, offset: int) -> None:
        self._error, self._place = error, (partition, offset)
        self._event.set()

    def wait(self, timeout_s: float, what: str) -> tuple[int, int]:
        if not self._event.wait(timeout_s):
            raise _timeout(what, timeout_s)
        if self._error is not None:
            raise self._error
        return self._place


class _Tally:
    """Counts acknowledgements of many; remembers a bounded number of failures by index."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._open = 0
        self._acked = 0
        self._failed = 0
        self._failures: dict[int, Exception] = {}

    def sent(self) -> None:
        with self._lock:
            self._open += 1

    def done(self, index: int, error: Exception | None) -> None:
        with self._lock:
            self._open -= 1
            self._acked += 1
            if error is not None:
                self._failed += 1
                if len(self._failures) < FAILURES_MAX:
                    self._failures[index] = error
            if not self._open:
                self._lock.notify_all()

    def wait(self, timeout_s: float) -> None:
        """Until all are reported; gives up after `timeout_s` without any progress."""
        with self._lock:
            while self._open:
                before = self._acked
                if not self._lock.wait(timeout_s) and self._acked == before:
                    return

    def check(self, ids: list[str]) -> None:
        with self._lock:
            if self._failed or self._open:
                raise EnqueuesFailed(ids, dict(self._failures), self._failed, self._open)


def _timeout(what: str, timeout_s: float) -> EnqueueTimeout:
    message = (
        f"{what}: no acknowledgement within {timeout_s:g} s; the job may still be written. "
        "Repeating it with the same idempotency_key is safe"
    )
    return EnqueueTimeout(message)


def _missing(topic: str) -> TopicMissing:
    return TopicMissing(
        f"topic {topic} does not exist; create it with: jobstream topics apply MODULE:APP"
    )
