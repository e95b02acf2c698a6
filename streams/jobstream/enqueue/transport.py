"""The way to a broker, as a client needs it: to Kafka, or to the broker in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from jobstream.enqueue.acks import Done
    from jobstream_processors.ports import Log, Outgoing


class Transport(Protocol):
    """The way to a broker."""

    def submit(self, record: Outgoing, done: Done) -> None:
        """Queue one record and return at once; raises QueueFull or EnqueueError."""

    def wait_for_room(self, timeout_s: float) -> bool:
        """Block until there may be room again; False if the time is over."""

    def partitions(self, topic: str, timeout_s: float = 5.0) -> int:
        """The topic's partition count, 0 if it does not exist; raises EnqueueTimeout."""

    def log(self) -> Log:
        """A reader of topics there, outside any group."""

    def now_ms(self) -> int:
        """The time as this process knows it, epoch milliseconds: shown, and never decided by."""

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what is queued and stop."""
