"""The way to a broker, as a client needs it: to Kafka, or to the broker in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from threading import Lock

    from jobstream.enqueue.acks import Done
    from jobstream.enqueue.lag_port import LagReader
    from jobstream_processors.ports import Log, Outgoing


class Transport(Protocol):
    """The way to a broker."""

    def submit(self, record: Outgoing, done: Done) -> None:
        """Queue one record and return at once; raises QueueFull or EnqueueError.

        `done` is called by the thread that serves reports: by one that waits for its own, or by a
        thread of the transport's.
        """

    def serve(self, pending: Lock, until: float) -> None:
        """Serve reports on this thread until `pending` is released, or until then (monotonic).

        Returns at once where another thread serves them: that proves nothing of `pending`.
        """

    def look(self) -> None:
        """Serve the reports that are there on this thread, for one that sends on; does not wait."""

    def hand_over(self) -> None:
        """Let a thread of the transport's serve reports, for one that sent and does not wait."""

    def wait_for_room(self, timeout_s: float) -> bool:
        """Block until there may be room again; False if the time is over."""

    def partitions(self, topic: str, timeout_s: float = 5.0) -> int:
        """The topic's partition count, 0 if it does not exist; raises EnqueueTimeout."""

    def log(self) -> Log:
        """A reader of topics there, outside any group."""

    def lag_reader(self, offsets_topic: str) -> LagReader | None:
        """Reads what tells the lag of queues there; None where nothing is written."""

    def now_ms(self) -> int:
        """The time as this process knows it, epoch milliseconds: shown, and never decided by."""

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what is queued and stop."""
