"""Hands records to a transport, and waits for room in its queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.enqueue.acks import left_s
from jobstream.errors import QueueFull

if TYPE_CHECKING:
    from jobstream.enqueue.acks import Done
    from jobstream.enqueue.transport import Transport
    from jobstream_processors.ports import Outgoing


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
