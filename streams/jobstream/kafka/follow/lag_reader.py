"""Reads what tells a queue's lag, with one consumer outside any group: mirrors, and ends of logs.

Each call is one request to every broker that leads a partition. It asks no group coordinator.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaError, KafkaException, TopicPartition

from jobstream.errors import BrokerUnavailable
from jobstream.kafka.client.construct import outsider
from jobstream.kafka.client.error_kinds import is_passing
from jobstream.kafka.client.green_threads import patched_by
from jobstream.kafka.client.onlooker_clock import OnlookerClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from confluent_kafka import Consumer, Message

    from jobstream_processors.ports import Record
    from jobstream_processors.ports import TopicPartition as Place

READER: Mapping[str, Any] = {
    "queued.min.messages": 1_000,
    "queued.max.messages.kbytes": 1_024,
    "fetch.message.max.bytes": 262_144,
    "fetch.wait.max.ms": 500,
    "log_level": 2,
}
ANSWER_S = 3.0
GREEN_ANSWER_S = 0.5
"""Green threads stand still while one of them asks: so long at most."""
READ_S = 30.0
"""How long the topic may take to be read to its end."""
BATCH = 500
_WAIT_S = 0.1
_GREEN_WAIT_S = 0.005
_LOW_EVERY = 30
"""Looks after which the starts of logs are asked for again: retention moves them, and rarely."""


class KafkaLagReader:
    """The `LagReader` of a Kafka cluster. Used by one thread; connects at the first call.

    After an error the next call begins with a new client, which looks anew for its brokers.
    """

    takes_time = True

    def __init__(self, options: Mapping[str, Any], topic: str) -> None:
        self._options = dict(options)
        self._topic = topic
        self._clock = OnlookerClock()
        self._consumer: Consumer | None = None
        self._next: dict[int, int] = {}
        """Partition of the offsets topic → up to where it was read."""
        self._ends: tuple[int, dict[int, int]] | None = None
        """When the last ends were asked for, and what they were."""
        self._low: dict[Place, int] = {}
        self._looks = 0

    def mirrors(self) -> Iterator[Record]:
        """What was appended since the last call. Raises BrokerUnavailable where it cannot be read.

        The first call of each client reads the whole topic.
        """
        try:
            yield from self._new_mirrors()
        except BaseException:
            self.close()
            raise

    def spans(self, places: Sequence[Place]) -> Mapping[Place, tuple[int, int]]:
        """(first offset kept, as of some looks ago; next offset to be written) of each."""
        if self._looks % _LOW_EVERY == 0 or any(place not in self._low for place in places):
            self._low |= self._offsets(places, OFFSET_BEGINNING)
        self._looks += 1
        high = self._offsets(places, OFFSET_END)
        return {place: (min(self._low[place], high[place]), high[place]) for place in places}

    def since(self, places: Sequence[Place], at_ms: int) -> Mapping[Place, int]:
        """The first offset of each that was appended at `at_ms` or later; its end if none was."""
        found = self._offsets(places, at_ms)
        if late := [place for place, offset in found.items() if offset < 0]:
            found |= self._offsets(late, OFFSET_END)
        return found

    def broker_ms(self) -> int:
        """The time of day by this machine, held by what brokers stamped on the mirrors."""
        return self._clock.broker_ms()

    def close(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        self._next, self._ends, self._low = {}, None, {}
        if consumer is not None:
            consumer.close()

    # -- inside

    def _new_mirrors(self) -> Iterator[Record]:
        consumer = self._following()
        asked_ms = self._clock.monotonic_ms()
        ends = self._offsets([(self._topic, number) for number in self._next], OFFSET_END)
        wanted = {number: end for (_, number), end in ends.items()}
        until = time.monotonic() + READ_S
        while any(self._next[number] < end for number, end in wanted.items()):
            if time.monotonic() > until:
                text = f"{self._topic} could not be read to its end within {READ_S:g} s"
                raise BrokerUnavailable(text)
            for message in _some(consumer):
                number, offset = message.partition() or 0, message.offset() or 0
                if message.error() is not None:
                    # The end of the partition; what is missing below it was compacted away.
                    self._next[number] = max(self._next[number], offset)
                    continue
                self._observe(message)
                self._next[number] = offset + 1
                yield message  # type: ignore[misc] # a Message has a Record's shape
        self._ends = asked_ms, wanted

    def _observe(self, message: Message) -> None:
        number, offset = message.partition() or 0, message.offset() or 0
        absent_at_ms = None
        if self._ends is not None and offset >= self._ends[1].get(number, 0):
            absent_at_ms = self._ends[0]
        self._clock.observe(
            (self._topic, number), message.timestamp()[1], absent_at_ms=absent_at_ms
        )

    def _following(self) -> Consumer:
        if self._consumer is None:
            self._consumer = consumer = outsider(self._options, READER)
            told = consumer.list_topics(self._topic, _answer_s()).topics[self._topic]
            if told.error is not None:
                raise KafkaException(told.error)
            self._next = dict.fromkeys(told.partitions, 0)
            consumer.assign(
                [TopicPartition(self._topic, n, OFFSET_BEGINNING) for n in told.partitions]
            )
        return self._consumer

    def _offsets(self, places: Sequence[Place], of: int) -> dict[Place, int]:
        """The offsets of a time, or of OFFSET_END or OFFSET_BEGINNING, in one request a broker."""
        try:
            found = self._asked(places, of)
        except BaseException:
            self.close()
            raise
        return found

    def _asked(self, places: Sequence[Place], of: int) -> dict[Place, int]:
        asked = [TopicPartition(topic, number, of) for topic, number in places]
        found: dict[Place, int] = {}
        for told in self._following().offsets_for_times(asked, timeout=_answer_s()):
            if told.error is not None:
                raise KafkaException(told.error)
            found[told.topic, told.partition] = told.offset
        return found


def _answer_s() -> float:
    return ANSWER_S if patched_by() is None else GREEN_ANSWER_S


def _some(consumer: Consumer) -> Iterator[Message]:
    """The next records and ends of partitions; raises what can't heal by itself."""
    if patched_by() is None:
        found = consumer.consume(BATCH, _WAIT_S)
    else:
        found = consumer.consume(BATCH, 0)
        if not found:
            threading.Event().wait(_GREEN_WAIT_S)
    for message in found:
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its name
            yield message
        elif not is_passing(error):
            raise KafkaException(error)
