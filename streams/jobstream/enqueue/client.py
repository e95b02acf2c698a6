"""Step 3: send a job, and wait for its acknowledgement. Steps 1 and 2 are one call from here."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from jobstream.enqueue.acks import Waiter, of_job
from jobstream.enqueue.composing import Composer
from jobstream.enqueue.counts import UNFOLDED_MAX
from jobstream.enqueue.enqueued import Enqueued
from jobstream.enqueue.first_use import FirstUses
from jobstream.enqueue.many_acks import Tally
from jobstream.enqueue.sending import submit
from jobstream.enqueue.topic_check import missing
from jobstream.errors import EnqueueError, EnqueuesFailed, QueueFull
from jobstream_schemas import caused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream.enqueue.composing import Composed, JobKind, When
    from jobstream.enqueue.coroutines import Coroutines
    from jobstream.enqueue.transport import Transport
    from jobstream_processors.ports import Outgoing

Args = TypeVar("Args")

LOOK_EVERY = 64
"""How many jobs an `enqueue_many` sends before it looks at reports: to serve one takes 1 µs."""

Send = Callable[["JobKind", "Composed"], Enqueued]
SendAsync = Callable[["JobKind", "Composed"], Awaitable[Enqueued]]
SendMany = Callable[["JobKind", "Iterable[Any]", "Callable[[Any], Composed]", "Tally"], "list[str]"]


class SendTracing(Protocol):
    """Hooks around a client's sends, for a trace. Each returns the function to call instead."""

    def send(self, send: Send) -> Send:
        """`send`, watched."""

    def send_async(self, send_async: SendAsync) -> SendAsync:
        """`send_async`, watched."""

    def send_many(self, send_many: SendMany) -> SendMany:
        """`send_many`, watched."""


class Client:
    """Enqueues jobs of one app. Safe to use from any thread and any event loop."""

    def __init__(
        self,
        transport: Transport,
        schemas_topic: str,
        *,
        timeout_ms: int,
        bytes_max: int,
        tracing: SendTracing | None = None,
    ) -> None:
        self.transport = transport
        """Its way to a broker, for what is no job."""
        self._timeout_s = timeout_ms / 1000
        self.compose = Composer(transport.now_ms, bytes_max).compose
        """Steps 1 and 2."""
        self._first_uses = FirstUses(transport, schemas_topic, self._timeout_s)
        self._used = self._first_uses.over
        self._coroutines: Coroutines | None = None
        """How coroutines send, once one did."""
        self._send: Send = self._sent
        self._send_async: SendAsync = self._sent_async
        self._send_many: SendMany = self._many_sent
        if tracing is not None:
            self._send = tracing.send(self._sent)
            self._send_async = tracing.send_async(self._sent_async)
            self._send_many = tracing.send_many(self._many_sent)

    def enqueue(
        self,
        kind: JobKind,
        args: Any,  # noqa: ANN401 - generic in the job type
        when: When,
        job_id: str | None = None,
        parent_id: str | None = None,
    ) -> Enqueued:
        """Send and block until acknowledged, at most the enqueue timeout."""
        counts, began = kind.counts, time.monotonic()
        try:
            if kind.door is not None:
                kind.door.enter(self.transport, began)
            sent = self._send(kind, self.compose(kind, args, when, job_id, parent_id))
        except BaseException as error:
            counts.failed(error)
            raise
        counts.took_s.append(time.monotonic() - began)
        if len(counts.took_s) >= UNFOLDED_MAX:
            counts.fold()
        return sent

    async def aenqueue(
        self,
        kind: JobKind,
        args: Any,  # noqa: ANN401 - generic in the job type
        when: When,
        job_id: str | None = None,
        parent_id: str | None = None,
    ) -> Enqueued:
        """The same without blocking the running loop."""
        counts, began = kind.counts, time.monotonic()
        try:
            if kind.door is not None:
                kind.door.enter(self.transport, began)
            composed = self.compose(kind, args, when, job_id, parent_id)
            sent = await self._send_async(kind, composed)
        except BaseException as error:
            counts.failed(error)
            raise
        counts.took_s.append(time.monotonic() - began)
        if len(counts.took_s) >= UNFOLDED_MAX:
            counts.fold()
        return sent

    def enqueue_many(
        self, kind: JobKind, jobs: Iterable[Args], when: Callable[[Args], When]
    ) -> list[str]:
        """Send all, pipelined; block until every one is acknowledged. Returns their ids."""
        tally = Tally(self.transport.serve)

        def compose(args: Args) -> Composed:
            if kind.door is not None:
                kind.door.enter(self.transport, time.monotonic())
            return self.compose(kind, args, when(args))

        try:
            if kind.door is not None:
                # Before the first job is taken: a caller that is refused as a whole can come back.
                kind.door.enter(self.transport, time.monotonic())
            ids = self._send_many(kind, jobs, compose, tally)
        except Exception as error:
            if not isinstance(error, EnqueuesFailed):
                # The caller's own code failed, or a topic is missing: what was sent before is sent.
                kind.counts.failed(error)
            kind.counts.many(tally.asked, tally.failures([]))
            raise
        kind.counts.many(len(ids))
        return ids

    def send(self, record: Outgoing) -> tuple[int, int]:
        """Send one record that is no job; block until acknowledged. Returns (partition, offset).

        Raises EnqueueError and what is below it; its text says why, not what a repeat does.
        """
        until = time.monotonic() + self._timeout_s
        waiter = Waiter()
        submit(self.transport, record, waiter.done, until)
        self.transport.serve(waiter.pending, until)
        return waiter.wait(until, self._timeout_s)

    def require(self, topic: str) -> None:
        """Raises TopicMissing if the topic does not exist, EnqueueTimeout without an answer."""
        if not self.transport.partitions(topic, self._timeout_s):
            raise missing(topic)

    # -- what tracing watches

    def _sent(self, kind: JobKind, composed: Composed) -> Enqueued:
        meta, record = composed
        until = time.monotonic() + self._timeout_s
        if until >= self._used.get((record.topic, kind.codec.schema.fingerprint), 0.0):
            self._first_uses.prepare(kind, record, until)
        waiter = Waiter()
        try:
            try:
                self.transport.submit(record, waiter.done)
            except QueueFull:
                submit(self.transport, record, waiter.done, until)
            self.transport.serve(waiter.pending, until)
            partition, offset = waiter.wait(until, self._timeout_s)
        except EnqueueError as error:
            cause = error.__cause__
            raise caused(of_job(error, f"job {meta.id}"), cause) from cause
        return Enqueued(meta.id, record.topic, partition, offset)

    def _sent_async(self, kind: JobKind, composed: Composed) -> Awaitable[Enqueued]:
        if self._coroutines is None:
            # Most services have no event loop, and its library is a fifth of what is imported.
            from jobstream.enqueue.coroutines import Coroutines  # noqa: PLC0415 - as said

            self._coroutines = Coroutines(self.transport, self._first_uses, self._timeout_s)
        return self._coroutines.send(kind, composed)

    def _many_sent(
        self,
        kind: JobKind,
        jobs: Iterable[Args],
        compose: Callable[[Args], Composed],
        tally: Tally,
    ) -> list[str]:
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
                if until >= self._used.get((record.topic, kind.codec.schema.fingerprint), 0.0):
                    self._first_uses.prepare(kind, record, until)
                done = tally.sent(index)
                try:
                    try:
                        self.transport.submit(record, done)
                    except QueueFull:
                        submit(self.transport, record, done, until)
                except EnqueueError as error:
                    tally.unsent(index, of_job(error, ""))
                if not index % LOOK_EVERY:
                    self.transport.look()
        except Exception:
            # Code of the caller failed, or no broker is there; what was sent before is not left.
            tally.wait(self._timeout_s)
            raise
        tally.wait(self._timeout_s)
        tally.check(ids)
        return ids
