"""One member of a consumer group, on confluent-kafka: assignments, pauses, commits."""

from __future__ import annotations

import logging
import threading
import time
from functools import wraps
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from jobstream.errors import SourceFailed
from jobstream.kafka.client.construct import made
from jobstream.kafka.consume.beside import Beside, fresh
from jobstream.kafka.consume.deaf import Deafness, asks_anew
from jobstream.kafka.consume.hearing import Hearing
from jobstream.kafka.consume.member_options import CONSUMER, FETCH, REBALANCE_MS, check
from jobstream.kafka.consume.sent_commits import SentCommits
from jobstream.kafka.consume.standstill import LOOK_MS, Standstill
from jobstream.kafka.consume.starting_points import ask_ends, committed, log_ends
from jobstream_processors.assignment.places import DECIDE
from jobstream_processors.turn_meter import TurnMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from confluent_kafka import Message

    from jobstream.kafka.client.broker_clock import BrokerClock
    from jobstream_processors.ports import Listener, Position, Record, TopicPartition

log = logging.getLogger("jobstream.kafka")

LEAVE_S = 5.0
LOOK_S = 1.0
BESIDE_AFTER_S = 0.3
"""A revocation that takes longer is worth a client that reads what is kept meanwhile."""


def _heard(
    callback: Callable[[KafkaSource, Consumer, list[Place]], None],
) -> Callable[[KafkaSource, Consumer, list[Place]], None]:
    """Count the time as a rebalance's, and re-raise what C code raised as an exception.

    Uncaught it leaves `poll` as a bare KafkaError (confluent-kafka 2.16 on Python 3.11), which
    passes every `except` clause and ended the polling thread of a worker that went on living.
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
        rebalance_ms: int = REBALANCE_MS,
        hearing: Hearing | None = None,
    ) -> None:
        """`rebalance_ms`: how long the group waits for what is to be given back.

        `hearing` is told the client's statistics by `options`.
        """
        self._hearing = hearing or Hearing()
        self._deafness = Deafness(self._hearing, asks_anew(options, group, topics[0]))
        self._clock = clock
        self._turn = turn if turn is not None else TurnMeter(group)
        self._listener: Listener | None = None
        self._closing = False
        self._held: set[TopicPartition] = set()
        """What the group has given this member, started or not."""
        self._revoked: set[TopicPartition] = set()
        """Of that, what is to be given back and is not released yet."""
        self._inside_since: float | None = None
        """When the callback that is under way began; the client fetches nothing until its end."""
        self._beside: Beside | None = None
        """Reads what is kept during a long callback."""
        self._ahead: dict[TopicPartition, int] = {}
        """Where to go on with what it read."""
        self._nap = threading.Event()
        self._commits = SentCommits(clock)
        self._started: dict[TopicPartition, int] = {}
        """What delivers now, and where each goes on by what the listener has of it.

        The client's own word for that would count a record that it has left out.
        """
        self._paused: dict[TopicPartition, int] = {}
        """What is paused, and where it goes on."""
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
        self._options = {**FETCH, **options, **CONSUMER, "group.id": group}
        self._consumer = made(
            Consumer,
            {
                **self._options,
                "group.protocol": protocol,
                # Of both protocols the rebalance time-out, too.
                "max.poll.interval.ms": rebalance_ms,
                **(classic if protocol == "classic" else {}),
                "on_commit": self._commits.answered,
                "error_cb": self._commits.trouble,
            },
        )
        self._commits.attach(self._consumer)

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
        """Up to `limit` records; waits at most `timeout_s`. Raises ReplaceProcess if deaf."""
        if self._inside_since is not None:
            found = self._poll_beside(limit, timeout_s)
        else:
            found = self._poll(limit, timeout_s)
            if self._ahead:
                found = fresh(found, self._ahead)
        records = [m for m in found if m.error() is None]
        if len(records) != len(found):
            for message in found:
                self._check(message)
        if records:
            self._clock.observe(records[-1].timestamp()[1])
            self._move_on(records)
        return records  # type: ignore[return-value] # a Message has a Record's shape

    def _poll(self, limit: int, timeout_s: float) -> list[Message]:
        if self._ahead:
            self._catch_up()
        now_ms = self._clock.monotonic_ms()
        self._commits.repeat(now_ms)
        if now_ms >= self._next_look_ms:
            self._next_look_ms = now_ms + LOOK_MS
            self._look()
            self._deafness.check()
        first = self._consumer.poll(timeout_s)
        if first is None:
            self._dry = True
            return []
        found = [first]
        if limit > 1:
            # With a time-out, consume would wait it out unless the batch is full.
            found += self._consumer.consume(limit - 1, 0)
            if len(found) < limit:
                self._dry = True
        return found

    def _move_on(self, records: Sequence[Message]) -> None:
        ends = {(m.topic() or "", m.partition() or 0): (m.offset() or 0) + 1 for m in records}
        for partition, place in ends.items():
            places = self._started if partition in self._started else self._paused
            if partition in places:
                places[partition] = max(places[partition], place)

    def _poll_beside(self, limit: int, timeout_s: float) -> list[Message]:
        if self._beside is None:
            if time.monotonic() - (self._inside_since or 0.0) < BESIDE_AFTER_S:
                self._nap.wait(timeout_s)
                return []
            self._beside = Beside(self._options, self._started)
        self._hearing.ask(self._consumer, self._held)
        return self._beside.poll(limit, timeout_s)

    def _catch_up(self) -> None:
        """Go on where the client beside left off."""
        ahead, self._ahead = self._ahead, {}
        for partition, offset in ahead.items():
            if partition in self._started:
                self.start(partition, offset)
            elif partition in self._paused:
                self._seek(partition, offset)

    def start(self, partition: TopicPartition, offset: int) -> None:
        """Deliver from `offset` on. Raises SourceFailed if the client refuses."""
        if self._inside_since is not None:
            self._ahead[partition] = offset
            if self._beside is not None:
                self._beside.start(partition, offset)
        else:
            self._seek(partition, offset)
            self._consumer.resume([Place(*partition)])
        self._paused.pop(partition, None)
        self._started[partition] = offset
        self._standstill.forget([partition])

    def _seek(self, partition: TopicPartition, offset: int) -> None:
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

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Deliver nothing from these."""
        held = list(partitions)
        self._consumer.pause([Place(*p) for p in held])
        if self._beside is not None:
            self._beside.pause(held)
        self._paused |= {p: self._started.pop(p) for p in held if p in self._started}
        self._standstill.forget(held)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Deliver again."""
        free = list(partitions)
        self._consumer.resume([Place(*p) for p in free])
        if self._beside is not None:
            self._beside.resume(free)
        self._started |= {p: self._paused.pop(p) for p in free if p in self._paused}

    def _look(self) -> None:
        """Start anew what has records and brings none, though nothing of it can be waiting here.

        Blocks for one request to each broker, LOOK_S at most; for none while all that was started
        is delivering.
        """
        dry, self._dry = self._dry, False
        if not self._started or self._closing:
            return
        places = dict(self._started)
        if not self._standstill.asks(places):
            return
        try:
            told = ask_ends(self._consumer, [Place(*partition) for partition in places], LOOK_S)
        except KafkaException as error:
            log.info("standstill_unknown", extra={"reason": error.args[0].str()})
            return
        known = {(p.topic, p.partition): p.offset for p in told if p.error is None}
        for partition in self._standstill.look(places, known, dry=dry):
            extra = {"partition": partition, "offset": places[partition], "end": known[partition]}
            log.warning("partition_started_anew", extra=extra)
            self.start(partition, places[partition])

    def commit(self, positions: Mapping[TopicPartition, Position], *, wait: bool) -> None:
        """Commit; a failure is logged. Without `wait`, `poll` repeats it until it is done.

        With `wait` it is repeated here, for seconds: others may start there next.
        """
        places = [Place(t, p, at, note) for (t, p), (at, note) in positions.items()]
        self._commits.commit(places, wait=wait)

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
                self._consumer.poll(0.05)  # What it brings is dropped: the next owner reads it.
        except KafkaException as error:
            # A broken client can't leave; its session ends by itself.
            log.warning("leave_failed", extra={"reason": error.args[0].str()})
        finally:
            self._consumer.close()

    def release(self, partitions: Iterable[TopicPartition]) -> None:
        """Give back what was revoked, once all that was revoked with it is released."""
        self._revoked.difference_update(partitions)

    @_heard
    def _on_assign(self, consumer: Consumer, places: list[Place]) -> None:
        listener = self._listener
        self._held.update((p.topic, p.partition) for p in places)
        if not places or listener is None or self._closing:
            # A member that leaves takes up nothing: asking for offsets would only hold it up.
            return
        told = committed(consumer, places)
        self._hearing.heard()
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
        """The client gives the partitions back when this returns, and not before.

        Its heartbeats go on meanwhile, and what is kept is fetched.
        """
        if (listener := self._listener) is not None:
            partitions = {(p.topic, p.partition) for p in places}
            self._revoked |= partitions
            self._inside_since = time.monotonic()
            try:
                listener.revoked(sorted(partitions))
                while self._revoked & partitions:
                    listener.go_on()
            finally:
                self._come_out()
        self._leave(consumer, places)

    def _come_out(self) -> None:
        """The listener is through: the client itself fetches again from now on."""
        self._inside_since = None
        if (beside := self._beside) is not None:
            self._beside = None
            self._ahead |= beside.close()

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
            self._ahead.pop(partition, None)
        self._held -= partitions
        self._ended -= partitions
        self._revoked -= partitions
        consumer.incremental_unassign(places)

    def _check(self, message: Message) -> None:
        error = message.error()
        if error is None or error.code() != KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - its name
            check(message)
            return
        partition = (message.topic() or "", message.partition() or 0)
        place = f"{message.topic()} [{message.partition()}]"
        text = f"{place}: the next offset is not in the log: {error.str()}; {DECIDE}"
        self._standstill.forget([partition])
        self._started.pop(partition, None)
        self._paused.pop(partition, None)
        self._ended.add(partition)
        if self._listener is not None:
            self._listener.misplaced(partition, text)
