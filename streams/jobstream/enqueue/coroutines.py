"""Step 3 for coroutines: send a job and wait for its acknowledgement, without blocking the loop."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from jobstream.enqueue.acks import late, left_s, of_job, unsent
from jobstream.enqueue.answers import Answers
from jobstream.enqueue.enqueued import Enqueued
from jobstream.errors import EnqueueError, QueueFull
from jobstream_processors.background import aside

if TYPE_CHECKING:
    from jobstream.enqueue.acks import Done
    from jobstream.enqueue.composing import Composed, JobKind
    from jobstream.enqueue.first_use import FirstUses
    from jobstream.enqueue.transport import Transport
    from jobstream_processors.ports import Outgoing

ANSWER_S = 0.1
"""Time that a call has to report its own timeout before the loop gives up on it."""
ROOM_S = 0.02
"""How often a coroutine looks whether the local send queue has room again."""


class Coroutines:
    """Sends for the coroutines of a client. Safe to use from any event loop of any thread."""

    def __init__(self, transport: Transport, first_uses: FirstUses, timeout_s: float) -> None:
        self._transport = transport
        self._first_uses = first_uses
        self._used = first_uses.over
        self._timeout_s = timeout_s
        self._here = threading.local()
        """What is waited for, of the event loop that runs on a thread."""
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            WeakKeyDictionary()
        )
        """Whose turn it is to prepare a first use, on each event loop."""

    async def send(self, kind: JobKind, composed: Composed) -> Enqueued:
        """Send, and wait for the acknowledgement; raises EnqueueError and what is below it."""
        meta, record = composed
        until = time.monotonic() + self._timeout_s
        why = unsent
        try:
            if until >= self._used.get((record.topic, kind.codec.schema.fingerprint), 0.0):
                async with asyncio.timeout(self._timeout_s + ANSWER_S):
                    await self._prepare(kind, record, until)
            answers = self._answers()
            answer, done = answers.expect()
            try:
                try:
                    self._transport.submit(record, done)
                except QueueFull:
                    await self._submit(record, done, until)
            except BaseException:
                answers.unsent(answer)
                raise
            self._transport.hand_over()
            why = late
            partition, offset = await answer
        except EnqueueError as error:
            raise of_job(error, f"job {meta.id}") from error.__cause__
        except TimeoutError as error:
            raise of_job(why(self._timeout_s), f"job {meta.id}") from error
        return Enqueued(meta.id, record.topic, partition, offset)

    def _answers(self) -> Answers:
        loop = asyncio.get_running_loop()
        found: Answers | None = getattr(self._here, "answers", None)
        if found is None or found.loop is not loop:
            found = self._here.answers = Answers(loop, self._timeout_s + ANSWER_S)
        return found

    async def _prepare(self, kind: JobKind, record: Outgoing, until: float) -> None:
        """A first use: one at a time on a loop, so on one thread at most."""
        loop = asyncio.get_running_loop()
        turn = self._turns.get(loop)
        if turn is None:
            turn = self._turns[loop] = asyncio.Lock()
        async with turn:
            if until >= self._used.get((record.topic, kind.codec.schema.fingerprint), 0.0):
                await aside("jobstream-prepare", self._first_uses.prepare, kind, record, until)

    async def _submit(self, record: Outgoing, done: Done, until: float) -> None:
        """Look for room by itself, which holds no thread; raises QueueFull."""
        while left := left_s(until):
            await asyncio.sleep(min(left, ROOM_S))
            try:
                self._transport.submit(record, done)
            except QueueFull:
                continue
            return
        self._transport.submit(record, done)
