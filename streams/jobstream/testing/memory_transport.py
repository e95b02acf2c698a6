"""The client's way to the broker in memory: what `App.bind` takes. Runs no job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.enqueue.acks import unwritten
from jobstream.errors import EnqueueError, EnqueueTimeout
from jobstream.kafka.produce.producer_clock import ProducerClock
from jobstream.testing.memory_lag_reader import MemoryLagReader
from jobstream.testing.memory_log import MemoryLog
from jobstream_processors.errors import PublishFailed

if TYPE_CHECKING:
    from threading import Lock

    from jobstream.enqueue.acks import Done
    from jobstream.testing.memory_broker import MemoryBroker
    from jobstream_processors.errors import PublishFailure
    from jobstream_processors.ports import Outgoing, TopicPartition


class MemoryTransport:
    """Publishes each record by itself, from a machine whose clock may be wrong. Thread-safe."""

    def __init__(self, broker: MemoryBroker, ahead_ms: int = 0) -> None:
        self._broker = broker
        self.ahead_ms = ahead_ms
        """By how much this producer's clock is ahead; negative: behind. It may jump."""
        self._clock = ProducerClock()

    def submit(self, record: Outgoing, done: Done) -> None:
        """Publish, and call `done` before returning."""
        try:
            (place, offset), *_ = self._broker.publish([record]).items()
        except PublishFailed as error:
            done(_error_of(error.failures[0]), -1, -1)
        else:
            if self.ahead_ms:
                self._compare(place, offset)
            done(None, place[1], offset)

    def serve(self, pending: Lock, until: float) -> None:
        """Every submit was reported before it returned."""

    def look(self) -> None:
        """As in `serve`."""

    def hand_over(self) -> None:
        """As in `serve`."""

    def wait_for_room(self, timeout_s: float) -> bool:  # noqa: ARG002 - part of the port
        """True: nothing queues here."""
        return True

    def partitions(self, topic: str, timeout_s: float = 0.0) -> int:  # noqa: ARG002 - part of the port
        """The topic's partition count, 0 if it does not exist."""
        return self._broker.topics().get(topic, 0)

    def log(self) -> MemoryLog:
        """Reads topics there."""
        return MemoryLog(self._broker)

    def lag_reader(self, offsets_topic: str) -> MemoryLagReader:
        """Reads what tells the lag of queues there."""
        return MemoryLagReader(self._broker, offsets_topic)

    def now_ms(self) -> int:
        """As this producer has it."""
        return self._broker.clock.broker_ms() + self.ahead_ms

    def close(self, timeout_s: float = 5.0) -> None:
        """Nothing to send: every submit was published."""

    def _compare(self, place: TopicPartition, offset: int) -> None:
        (found,) = self._broker.read(place, offset, offset + 1, 1) or (None,)
        if found is not None:
            now_ms = self.now_ms()
            self._clock.compare(now_ms, found.timestamp()[1], now_ms)


def _error_of(failure: PublishFailure) -> EnqueueError:
    if failure.too_large:
        return unwritten(EnqueueError(f"refused: {failure.reason}"))
    return EnqueueTimeout(f"not acknowledged: {failure.reason}")
