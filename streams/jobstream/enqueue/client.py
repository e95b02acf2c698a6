"""Step 1 to 3 of a job's way: validate, derive ids, encode, send, wait for the acknowledgement."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

import uuid_utils

from jobstream.enqueue.acks import (
    NOT_WRITTEN,
    Done,
    Tally,
    Waiter,
    late,
    left_s,
    of_job,
    retold,
    unsent,
)
from jobstream.enqueue.first_rung import delayed
from jobstream.enqueue.topic_check import check_topic, missing
from jobstream.errors import (
    EnqueueError,
    JobTooLarge,
    QueueFull,
)
from jobstream.kafka.follow.schema_topic import schema_record
from jobstream_processors.background import aside
from jobstream_processors.core import identity
from jobstream_processors.core.duration import Duration, to_ms
from jobstream_processors.core.partition import any_partition, partition_for
from jobstream_processors.ports import Outgoing
from jobstream_schemas import Meta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jobstream_processors.ports import Log
    from jobstream_processors.queue_plan import QueuePlan
    from jobstream_schemas import JobCodec

Args = TypeVar("Args")


KEYS_KEPT = 4_096
"""Order keys whose partition is remembered: to hash one takes microseconds."""
SCHEMA_AGAIN_S = 600.0
"""How often a producer publishes a schema again, in case its topic was made anew."""
ROOM_S = 0.02
"""How often a coroutine looks whether the local send queue has room again."""
ANSWER_S = 0.1
"""What watches its own limit has this long to tell why, before the loop gives up on it."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """An acknowledged job: it is in the log. That says nothing of whether it has run, or will.

    If a job of its `idempotency_key` has ended within the dedup window, be it done, dead or
    cancelled, this one is absorbed and does not run. The enqueue cannot know: what has ended is
    known to the worker that owns the partition. `jobstream job show` tells, and `dlq redrive`
    brings back a dead one.
    """

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

    def partitions(self, topic: str, timeout_s: float = 5.0) -> int:
        """The topic's partition count, 0 if it does not exist; raises EnqueueTimeout."""

    def log(self) -> Log:
        """What reads topics there, outside any group."""

    def now_ms(self) -> int:
        """What this process takes for the time, epoch milliseconds: told, and never decided by."""

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
        self._known: dict[bytes, float] = {}
        """Schemas that were published, and when they are to be again."""
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            WeakKeyDictionary()
        )
        """Whose turn it is to prepare a first use, on each event loop."""
        self._checked: set[str] = set()
        self._partition_of = lru_cache(KEYS_KEPT)(partition_for)
        self._source = socket.gethostname()[:128]

    def enqueue(
        self, codec: JobCodec[Any], plan: QueuePlan, meta: Meta, record: Outgoing
    ) -> Enqueued:
        """Send and block until acknowledged, at most the enqueue timeout."""
        until = time.monotonic() + self._timeout_s
        self._prepare(codec, plan, record, until)
        waiter = Waiter()
        try:
            self._submit(record, waiter.done, until)
            partition, offset = waiter.wait(until, self._timeout_s)
        except EnqueueError as error:
            raise of_job(error, f"job {meta.id}") from error.__cause__
        return Enqueued(meta.id, record.topic, partition, offset)

    async def aenqueue(
        self, codec: JobCodec[Any], plan: QueuePlan, meta: Meta, record: Outgoing
    ) -> Enqueued:
        """The same without blocking the running loop."""
        until = time.monotonic() + self._timeout_s
        is_sent = False
        done, answer = _asked_for()
        try:
            async with asyncio.timeout(self._timeout_s + ANSWER_S):
                if not self._is_prepared(codec, record, until):
                    await self._aprepare(codec, plan, record, until)
                try:
                    await self._asubmit(record, done, until)
                    is_sent = True
                    partition, offset = await answer
                except EnqueueError as error:
                    raise of_job(error, f"job {meta.id}") from error.__cause__
        except TimeoutError as error:
            why = late(self._timeout_s) if is_sent else unsent(self._timeout_s)
            raise of_job(why, f"job {meta.id}") from error
        return Enqueued(meta.id, record.topic, partition, offset)

    def enqueue_many(
        self,
        codec: JobCodec[Any],
        plan: QueuePlan,
        jobs: Iterable[Args],
        compose: Callable[[Args], tuple[Meta, Outgoing]],
        tally: Tally,
    ) -> list[str]:
        """Send all, pipelined; block until every one is acknowledged. Returns their ids.

        However it ends, `tally` tells afterwards what became of those that were asked for.
        """
        ids: list[str] = []
        try:
            for index, args in enumerate(jobs):
                ids.append("")
                try:
                    meta, record = compose(args)
                except EnqueueError as error:
                    tally.failed(index, error)
                    continue
                ids[index] = meta.id
                until = time.monotonic() + self._timeout_s
                if not self._is_prepared(codec, record, until):
                    self._prepare(codec, plan, record, until)
                try:
                    self._submit(record, tally.sent(index), until)
                except EnqueueError as error:
                    tally.unsent(index, of_job(error, ""))
        except Exception:
            # Code of the caller failed, or no broker is there; what was sent before is not left.
            tally.wait(self._timeout_s)
            raise
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
        now_ms = self._transport.now_ms()
        if when.key is not None:
            identity.check_key("key", when.key)
        drawn = job_id is None
        if job_id is None:
            job_id = str(uuid_utils.uuid7())
        if when.key is not None:
            partition = self._partition_of(when.key.encode(), plan.partitions)
        elif drawn:
            partition = any_partition(job_id, plan.partitions)
        else:
            partition = partition_for(job_id.encode(), plan.partitions)
        expires_in_ms, unique_key = None, None
        if when.expires_in is not None:
            expires_in_ms = to_ms(when.expires_in, name="expires_in")
        # By position: by name it would cost a tenth of the whole enqueue.
        meta = Meta(
            job_id,
            now_ms,
            self._source,
            when.key,
            unique_key,
            expires_in_ms,
            parent_id,
            when.correlation_id,
        )
        value = codec.encode(meta, args)
        if len(value) > self._bytes_max:
            message = (
                f"job {codec.schema.job_type!r} has {len(value)} bytes, the cap is "
                f"{self._bytes_max}, so it was not written; put the bulk in a store and enqueue a "
                "reference to it"
            )
            raise JobTooLarge(message)
        record = Outgoing(plan.topic, (when.key or job_id).encode(), value, partition)
        return meta, record if when.delay is None is when.run_at else delayed(plan, record, when)

    def send(self, record: Outgoing) -> tuple[int, int]:
        """Send one record that is no job; block until acknowledged. Returns (partition, offset).

        Raises EnqueueError and what is below it; its text says why, not what a repeat does.
        """
        until = time.monotonic() + self._timeout_s
        waiter = Waiter()
        self._submit(record, waiter.done, until)
        return waiter.wait(until, self._timeout_s)

    def require(self, topic: str) -> None:
        """Raises TopicMissing if the topic does not exist, EnqueueTimeout if nobody tells."""
        if not self._transport.partitions(topic, self._timeout_s):
            raise missing(topic)

    def log(self) -> Log:
        """What reads topics outside any group."""
        return self._transport.log()

    def now_ms(self) -> int:
        """What this process takes for the time, epoch milliseconds: told, and never decided by."""
        return self._transport.now_ms()

    def close(self) -> None:
        """Send what is queued and stop."""
        self._transport.close()

    def _is_prepared(self, codec: JobCodec[Any], record: Outgoing, until: float) -> bool:
        again = self._known.get(codec.schema.fingerprint, 0.0)
        return record.topic in self._checked and until < again

    async def _aprepare(
        self, codec: JobCodec[Any], plan: QueuePlan, record: Outgoing, until: float
    ) -> None:
        """As `_prepare`, from a coroutine: one at a time on a loop, so on one thread at most."""
        loop = asyncio.get_running_loop()
        turn = self._turns.get(loop)
        if turn is None:
            turn = self._turns[loop] = asyncio.Lock()
        async with turn:
            if not self._is_prepared(codec, record, until):
                await aside("jobstream-prepare", self._prepare, codec, plan, record, until)

    def _prepare(
        self, codec: JobCodec[Any], plan: QueuePlan, record: Outgoing, until: float
    ) -> None:
        """At first use of a topic or schema: check the one, publish the other. Blocks."""
        # A job that waits on a rung first comes to its queue's partition all the same.
        for topic in {plan.topic, record.topic} - self._checked:
            check_topic(self._transport, plan, topic, until)
            self._checked.add(topic)
        fingerprint = codec.schema.fingerprint
        again = self._known.get(fingerprint)
        if again is not None and again <= until:
            # Most likely it is there: nobody waits for it.
            with contextlib.suppress(EnqueueError):
                self._transport.submit(schema_record(self._schemas_topic, codec.schema), _unheard)
            self._known[fingerprint] = until + SCHEMA_AGAIN_S
        elif again is None:
            if not self._transport.partitions(self._schemas_topic, left_s(until)):
                raise missing(self._schemas_topic)
            waiter = Waiter()
            try:
                self._submit(schema_record(self._schemas_topic, codec.schema), waiter.done, until)
                waiter.wait(until, self._timeout_s)
            except EnqueueError as error:
                text = f"the schema of {codec.schema.job_type!r}: {error}; {NOT_WRITTEN}"
                raise retold(error, text, may_be_written=False) from error.__cause__
            self._known[fingerprint] = until + SCHEMA_AGAIN_S

    async def _asubmit(self, record: Outgoing, done: Done, until: float) -> None:
        """As `_submit`, from a coroutine: it looks for room by itself, and holds no thread."""
        while True:
            try:
                self._transport.submit(record, done)
            except QueueFull:
                left = left_s(until)
                if not left:
                    raise
                await asyncio.sleep(min(left, ROOM_S))
            else:
                return

    def _submit(self, record: Outgoing, done: Done, until: float) -> None:
        """Queue one record, waiting for room until then; raises QueueFull."""
        while True:
            try:
                self._transport.submit(record, done)
            except QueueFull:
                left = left_s(until)
                if not left:
                    raise
                self._transport.wait_for_room(min(left, 0.1))
            else:
                return


def _unheard(_error: Exception | None, _partition: int, _offset: int) -> None:
    """Hear of the fate of a record that nobody waits for."""


def _asked_for() -> tuple[Done, asyncio.Future[tuple[int, int]]]:
    """What a transport reports to, and the future of the running loop that it fills."""
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
        # A loop that is closed has nobody left who waits for the answer.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(finish, error, partition, offset)

    return done, future
