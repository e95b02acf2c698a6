"""Hands records to a transport, and waits for room in its queue."""

from __future__ import annotations

import asyncio
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
