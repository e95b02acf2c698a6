"""Step 3: send a job, and wait for its acknowledgement. Steps 1 and 2 are one call from here."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from jobstream.enqueue.acks import Waiter, late, of_job, unsent
from jobstream.enqueue.answers import Answers
from jobstream.enqueue.composing import Composer
from jobstream.enqueue.counts import UNFOLDED_MAX
from jobstream.enqueue.first_use import FirstUses
from jobstream.enqueue.many_acks import Tally
from jobstream.enqueue.sending import asubmit, submit
from jobstream.enqueue.topic_check import missing
from jobstream.errors import EnqueueError, EnqueuesFailed, QueueFull
from jobstream_schemas import caused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream.enqueue.composing import Composed, JobKind, When
    from jobstream.enqueue.transport import Transport
    from jobstream_processors.ports import Outgoing

Args = TypeVar("Args")
ANSWER_S = 0.1
"""Time that a call has to report its own timeout before the loop gives up on it."""

LOOK_EVERY = 64
"""How many jobs an `enqueue_many` sends before it looks at reports: to serve one takes 1 µs."""


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
        self._here = threading.local()
        """What coroutines wait for, of the event loop that runs on a thread."""
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
            return self.compose(kind, args, when(args))

        try:
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
            raise _of_job(error, meta.id, error.__cause__) from error.__cause__
        return Enqueued(meta.id, record.topic, partition, offset)

    async def _sent_async(self, kind: JobKind, composed: Composed) -> Enqueued:
        meta, record = composed
        until = time.monotonic() + self._timeout_s
        why = unsent
        try:
            if until >= self._used.get((record.topic, kind.codec.schema.fingerprint), 0.0):
                async with asyncio.timeout(self._timeout_s + ANSWER_S):
                    await self._first_uses.aprepare(kind, record, until)
            answers = self._answers()
            answer, done = answers.expect()
            try:
                try:
                    self.transport.submit(record, done)
                except QueueFull:
                    await asubmit(self.transport, record, done, until)
            except BaseException:
                answers.unsent(answer)
                raise
            self.transport.hand_over()
            why = late
            partition, offset = await answer
        except EnqueueError as error:
            raise _of_job(error, meta.id, error.__cause__) from error.__cause__
        except TimeoutError as error:
            raise _of_job(why(self._timeout_s), meta.id, error) from error
        return Enqueued(meta.id, record.topic, partition, offset)

    def _answers(self) -> Answers:
        loop = asyncio.get_running_loop()
        found: Answers | None = getattr(self._here, "answers", None)
        if found is None or found.loop is not loop:
            found = self._here.answers = Answers(loop, self._timeout_s + ANSWER_S)
        return found

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


def _of_job(error: EnqueueError, job_id: str, cause: BaseException | None) -> EnqueueError:
    return caused(of_job(error, f"job {job_id}"), cause)
