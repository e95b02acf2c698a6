"""The client's way to the broker in memory: what `App.bind` takes. Runs no job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.errors import EnqueueError, EnqueueTimeout
from jobstream.testing.memory_log import MemoryLog
from jobstream_processors.errors import PublishFailed

if TYPE_CHECKING:
    from jobstream.acks import Done
    from jobstream.testing.broker import MemoryBroker
    from jobstream_processors.errors import PublishFailure
    from jobstream_processors.ports import Outgoing


class MemoryTransport:
    """Publishes each record by itself. Thread-safe."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def submit(self, record: Outgoing, done: Done) -> None:
        """Publish, and call `done` before returning."""
        try:
            (place, offset), *_ = self._broker.publish([record]).items()
        except PublishFailed as error:
            done(_error_of(error.failures[0]), -1, -1)
        else:
            done(None, place[1], offset)

    def wait_for_room(self, timeout_s: float) -> bool:  # noqa: ARG002 - part of the port
        """True: nothing queues here."""
        return True

    def partitions(self, topic: str, timeout_s: float = 0.0) -> int:  # noqa: ARG002 - part of the port
        """The topic's partition count, 0 if it does not exist."""
        return self._broker.topics().get(topic, 0)

    def log(self) -> MemoryLog:
        """Reads topics there."""
        return MemoryLog(self._broker)

    def now_ms(self) -> int:
        """By the broker's clock."""
        return self._broker.clock.broker_ms()

    def close(self, timeout_s: float = 5.0) -> None:
        """Nothing to send: every submit was published."""


def _error_of(failure: PublishFailure) -> EnqueueError:
    if failure.too_large:
        error = EnqueueError(f"refused: {failure.reason}")
        error.may_be_written = False
        return error
    return EnqueueTimeout(f"not acknowledged: {failure.reason}")
