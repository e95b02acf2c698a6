"""One member of a consumer group, on confluent-kafka: assignments, pauses, commits."""

from __future__ import annotations

import logging
import time
from functools import wraps
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from jobstream.errors import BrokerTooOld, SourceFailed
from jobstream.kafka.assigned import ask_ends, committed, log_ends
from jobstream.kafka.commits import Commits
from jobstream.kafka.error_kinds import is_fatal
from jobstream.kafka.standstill import LOOK_MS, Standstill
from jobstream_processors.meter import TurnMeter
from jobstream_processors.places import DECIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from confluent_kafka import Message

    from jobstream.kafka.clock import BrokerClock
    from jobstream_processors.ports import Listener, Position, Record, TopicPartition

log = logging.getLogger("jobstream.kafka")

CONSUMER: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # A place that is not in the log must stop its partition, not skip jobs.
    "auto.offset.reset": "error",
    "max.poll.interval.ms": 300_000,
    "queued.min.messages": 3_000,
    "queued.max.messages.kbytes": 8_192,
    # The default of a second leaves gaps whenever the local queue was full.
    "fetch.queue.backoff.ms": 10,
    "fetch.wait.max.ms": 100,
    "socket.timeout.ms": 10_000,
}
_TOO_OLD = [
    # What broke a consumer is told in words only; these are the library's own.
    KafkaError(code).str()
    for code in (KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE)  # noqa: SLF001 - its name
]
LEAVE_S = 5.0
LOOK_S = 1.0


def _heard(
    callback: Callable[[KafkaSource, Consumer, list[Place]], None],
) -> Callable[[KafkaSource, Consumer, list[Place]], None]:
    """Mark the time as a rebalance's, and make whole what a callback raises.

    What it asks of brokers that fail over may take a minute before the listener hears anything.
    An error that C code raised and no Python code caught comes out of `poll` as a bare KafkaError
    (confluent-kafka 2.16 on Python 3.11). That is no exception: it passes every `except` clause and
    ended the polling thread of a worker that went on living.
    """

    @wraps(callback)
    def called(self: KafkaSource, consumer: Consumer, places: list[Place]) -> None:
        try:
            with self._turn.busy("rebalance"):
                callback(self, consumer, places)
        except KafkaException as error:
            text = f"partitions could not change hands: {error.args[0].str()}"
            raise SourceFailed(text) from error

    return called


class KafkaSource:
    """The `Source` port on Kafka. Every method is called by one thread."""

    def __init__(
        self,
        options: Mapping[str, Any],
        group: str,
        topics: Sequence[str],
        clock: BrokerClock,
        *,
        protocol: str = "consumer",
        session_ms: int = 6_000,
        heartbeat_ms: int = 1_000,
        turn: TurnMeter | None = None,
    ) -> None:
        self._clock = clock
        self._turn = turn if turn is not None else TurnMeter(group)
        self._listener: Listener | None = None
        self._closing = False
        self._held: set[TopicPartition] = set()
        """What the group has given this member, started or not."""
        self._commits = Commits()
        self._started: dict[TopicPartition, int] = {}
        """What delivers now, with the offset from which it was started."""
        self._paused: dict[TopicPartition, int] = {}
        """Likewise, what is paused."""
        self._ended: set[TopicPartition] = set()
        """What the client fetches no more, since its place was not in its log."""
        self._standstill = Standstill()
        self._dry = False
        """Whether the client had nothing more to give since the last look."""
        self._next_look_ms = 0
        self._topics = list(topics)
        classic = {
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": session_ms,
            "heartbeat.interval.ms": heartbeat_ms,
        }
        self._consumer = Consumer(
            {
                **options,
                **CONSUMER,
                "group.id": group,
                "group.protocol": protocol,
                **(classic if protocol == "classic" else {}),
                "on_commit": self._on_commit,
            }
        )

    def listen(self, listener: Listener) -> None:
        """Join the group; `listener` hears of assignments from inside `poll` and `close`."""
        self._listener = listener
        self._consumer.subscribe(
            self._topics,
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def poll(self, limit: int, timeout_s: float) -> Sequence[Record]:
        """Up to `limit` records; waits at most `timeout_s` for the first of them."""
        now_ms = self._clock.monotonic_ms()
        if again := self._commits.again(now_ms):
            self._commit(again, wait=False)
        if now_ms >= self._next_look_ms:
            self._next_look_ms = now_ms + LOOK_MS
            self._look()
        first = self._consumer.poll(timeout_s)
        if first is None:
            self._dry = True
            return ()
        found = [first]
        if limit > 1:
            # With a time-out, consume would wait it out unless the batch is full.
            found += self._consumer.consume(limit - 1, 0)
            if len(found) < limit:
                self._dry = True
        records = [m for m in found if m.error() is None]
        if len(records) != len(found):
            for message in found:
                self._check(message)
        if records:
            self._clock.observe(records[-1].timestamp()[1])
        return records  # type: ignore[return-value] # a Message has a Record's shape

    def start(self, partition: TopicPartition, offset: int) -> None:
        """Deliver from `offset` on. Raises SourceFailed if the client refuses."""
        for last in (False, False, True):
            try:
                if partition in self._ended:
                    # A seek is refused then: only an assignment begins its fetching anew.
                    self._consumer.incremental_unassign([Place(*partition)])
                    self._consumer.incremental_assign([Place(*partition, offset)])
                    self._ended.discard(partition)
                else:
                    self._consumer.seek(Place(*partition, offset))
                break
            except KafkaException as error:
                # The client paused or resumed it at the same moment, and forgot the older wish.
                if last or error.args[0].code() != KafkaError._OUTDATED:  # noqa: SLF001 - its name
                    text = f"{partition[0]} [{partition[1]}]: {error.args[0].str()}"
                    raise SourceFailed(text) from error
        self._consumer.resume([Place(*partition)])
        self._paused.pop(partition, None)
        self._started[partition] = offset
        self._standstill.forget([partition])

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Deliver nothing from these."""
        held = list(partitions)
        self._consumer.pause([Place(*p) for p in held])
        self._paused |= {p: self._started.pop(p) for p in held if p in self._started}
        self._standstill.forget(held)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Deliver again."""
        free = list(partitions)
        self._consumer.resume([Place(*p) for p in free])
        self._started |= {p: self._paused.pop(p) for p in free if p in self._paused}

    def _look(self) -> None:
        """Start anew what has records and brings none, though nothing of it can be waiting here.

        Blocks for one request to each broker, LOOK_S at most; for none while all that was started
        is delivering.
        """
        dry, self._dry = self._dry, False
        if not self._started or self._closing:
            return
        asked = [Place(*partition) for partition in self._started]
        try:
            found = self._consumer.position(asked)
            places = {(p.topic, p.partition): p.offset for p in found}
            for partition, begun in self._started.items():
                # The client forgets its place with a seek, and knows it again at the first record.
                places[partition] = max(begun, places.get(partition, begun))
            if not self._standstill.asks(places):
                return
            told = ask_ends(self._consumer, asked, LOOK_S)
        except KafkaException as error:
            log.info("standstill_unknown", extra={"reason": error.args[0].str()})
            return
        known = {(p.topic, p.partition): p.offset for p in told if p.error is None}
        for partition in self._standstill.look(places, known, dry=dry):
            extra = {"partition": partition, "offset": places[partition], "end": known[partition]}
            log.warning("partition_started_anew", extra=extra)
            self.start(partition, places[partition])

    def commit(self, positions: Mapping[TopicPartition, Position], *, wait: bool) -> None:
        """Commit; a failure is logged. Without `wait`, `poll` repeats it until it is done."""
        self._commit([Place(t, p, at, note) for (t, p), (at, note) in positions.items()], wait=wait)

    def _commit(self, places: list[Place], *, wait: bool) -> None:
        self._commits.sent(places)
        try:
            if wait:
                self._consumer.commit(offsets=places, asynchronous=False)
            else:
                self._consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            self._on_commit(error.args[0], places)

    def close(self) -> None:
        """Leave the group; the listener hears of the revocation first. Blocks for LEAVE_S at most.

        By unsubscribing: what a callback asks of a client that is closing may never be answered
        (librdkafka issues 4041 and 4884), and the thread stood still for five minutes.
        """
        if self._closing:
            return
        self._closing = True
        try:
            self._consumer.unsubscribe()
            until = time.monotonic() + LEAVE_S
            while self._held and time.monotonic() < until:
                self._consumer.poll(0.05)  # What it brings is nobody's: the next owner reads it.
        except KafkaException as error:
            # A broken client can't leave; its session ends by itself.
            log.warning("leave_failed", extra={"reason": error.args[0].str()})
        finally:
            self._consumer.close()

    @_heard
    def _on_assign(self, consumer: Consumer, places: list[Place]) -> None:
        listener = self._listener
        self._held.update((p.topic, p.partition) for p in places)
        if not places or listener is None or self._closing:
            # A member that leaves takes up nothing: asking for offsets would only hold it up.
            return
        told = committed(consumer, places)
        ends = log_ends(consumer, places)
        for place in places:
            # Fetching may begin before the pause below: at the end nothing is out of range, and
            # `start` seeks anyway. As a number: a look-up of OFFSET_END that the client has under
            # way is repeated after a seek (librdkafka 2.16), and its answer takes the seek's place.
            place.offset = ends[place.topic, place.partition]
        consumer.incremental_assign(places)
        # Nothing is delivered before the partition's table is restored.
        consumer.pause(places)
        listener.assigned(told)

    @_heard
    def _on_revoke(self, consumer: Consumer, places: list[Place]) -> None:
        if self._listener is not None:
            self._listener.revoked([(p.topic, p.partition) for p in places])
        self._leave(consumer, places)

    @_heard
    def _on_lost(self, consumer: Consumer, places: list[Place]) -> None:
        if self._listener is not None:
            self._listener.lost([(p.topic, p.partition) for p in places])
        self._leave(consumer, places)

    def _leave(self, consumer: Consumer, places: list[Place]) -> None:
        partitions = {(p.topic, p.partition) for p in places}
        self._commits.forget(partitions)
        self._standstill.forget(partitions)
        for partition in partitions:
            self._started.pop(partition, None)
            self._paused.pop(partition, None)
        self._held -= partitions
        self._ended -= partitions
        consumer.incremental_unassign(places)

    def _on_commit(self, error: KafkaError | None, places: list[Place]) -> None:
        self._commits.answered(error, places, self._clock.monotonic_ms())
        if error is not None:
            log.warning("commit_failed", extra={"reason": error.str()})

    def _check(self, message: Message) -> None:
        error = message.error()
        if error is None:
            return
        place = f"{message.topic()} [{message.partition()}]"
        code = error.code()
        if code == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - the library's name
            partition = (message.topic() or "", message.partition() or 0)
            text = f"{place}: the next offset is not in the log: {error.str()}; {DECIDE}"
            self._standstill.forget([partition])
            self._started.pop(partition, None)
            self._paused.pop(partition, None)
            self._ended.add(partition)
            if self._listener is not None:
                self._listener.misplaced(partition, text)
            return
        if is_fatal(error) and any(text in error.str() for text in _TOO_OLD):
            raise BrokerTooOld(error.str())
        if is_fatal(error) or code in {
            KafkaError.UNKNOWN_TOPIC_OR_PART,
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
            KafkaError.GROUP_AUTHORIZATION_FAILED,
        }:
            text = f"{place}: {error.str()}"
            raise SourceFailed(text)
        log.warning("consumer_error", extra={"reason": error.str(), "code": error.name()})
