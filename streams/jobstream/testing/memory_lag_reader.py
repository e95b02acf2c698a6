"""What tells a queue's lag on the broker in memory: mirrors, and ends of logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.errors import BrokerUnavailable
from jobstream.testing.memory_log import MemoryLog

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jobstream.testing.memory_broker import MemoryBroker
    from jobstream_processors.ports import Record, TopicPartition


class MemoryLagReader:
    """The `LagReader` in memory. Used by one thread at a time."""

    takes_time = False

    def __init__(self, broker: MemoryBroker, topic: str) -> None:
        self._broker = broker
        self._log = MemoryLog(broker)
        self._topic = topic
        self._next: dict[int, int] = {}

    def mirrors(self) -> Iterator[Record]:
        """What was appended to the offsets topic since the last call."""
        self._refuse_if_frozen()
        for number in range(self._broker.topics().get(self._topic, 0)):
            place = (self._topic, number)
            low, high = self._broker.span(place)
            for batch in self._log.read(place, max(low, self._next.get(number, 0)), high):
                yield from batch
            self._next[number] = high

    def spans(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, tuple[int, int]]:
        """(first offset kept, next offset to be written) of each."""
        self._refuse_if_frozen()
        return self._broker.spans(places)

    def since(self, places: Sequence[TopicPartition], at_ms: int) -> Mapping[TopicPartition, int]:
        """The first offset of each that was appended at `at_ms` or later; its end if none was."""
        return {place: self._log.since(place, at_ms) for place in places}

    def broker_ms(self) -> int:
        """The broker's virtual time."""
        return self._broker.clock.broker_ms()

    def close(self) -> None:
        """Nothing is connected."""

    def _refuse_if_frozen(self) -> None:
        if self._broker.is_frozen:
            message = "the broker in memory is frozen and answers nobody"
            raise BrokerUnavailable(message)
