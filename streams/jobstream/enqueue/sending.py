"""Hands records to a transport, waits for room in its queue, and for answers on an event loop."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from jobstream.enqueue.acks import left_s
from jobstream.errors import QueueFull

if TYPE_CHECKING:
    from jobstream.enqueue.acks import Done
    from jobstream.enqueue.transport import Transport
    from jobstream_processors.ports import Outgoing

ROOM_S = 0.02
"""How often a coroutine looks whether the local send queue has room again."""


def submit(transport: Transport, record: Outgoing, done: Done, until: float) -> None:
    """Queue one record, waiting for room until then; raises QueueFull."""
    while True:
        try:
            transport.submit(record, done)
        except QueueFull:
            left = left_s(until)
            if not left:
                raise
            transport.wait_for_room(min(left, 0.1))
        else:
            return


async def asubmit(transport: Transport, record: Outgoing, done: Done, until: float) -> None:
    """As `submit`, from a coroutine: it looks for room by itself, and holds no thread."""
    while True:
        try:
            transport.submit(record, done)
        except QueueFull:
            left = left_s(until)
            if not left:
                raise
            await asyncio.sleep(min(left, ROOM_S))
        else:
            return


def asked_for() -> tuple[Done, asyncio.Future[tuple[int, int]]]:
    """The callback for a transport's report, and the future of the running loop that it fills."""
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
        # On a closed loop no caller is left that waits for the answer.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(finish, error, partition, offset)

    return done, future
