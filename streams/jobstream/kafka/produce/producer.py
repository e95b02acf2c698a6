"""The client's producer: one record or a million, acknowledged, across threads, loops and forks."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException

from jobstream.enqueue.acks import unwritten
from jobstream.errors import EnqueueError, EnqueueTimeout, QueueFull
from jobstream.kafka.client.admin_calls import Trouble
from jobstream.kafka.client.error_kinds import is_passing, is_refusal
from jobstream.kafka.follow.lag_reader import KafkaLagReader
from jobstream.kafka.follow.topic_reader import KafkaLog
from jobstream.kafka.produce.lasting import PRODUCER, Lasting, Unserved
from jobstream.kafka.produce.producer_clock import ProducerClock
from jobstream.kafka.produce.self_served import SelfServed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from threading import Lock

    from confluent_kafka import Message

    from jobstream.enqueue.acks import Done
    from jobstream_processors.ports import Outgoing

METADATA_S_MAX = 5.0
GONE = (
    "does not exist any more, or has fewer partitions than its queue declares; see the difference "
    "with: jobstream topics plan MODULE:APP"
)
_MISSING = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)  # noqa: SLF001 - the library's name


class KafkaTransport:
    """The client's way to a broker. Safe to use from any thread, and after a fork."""

    def __init__(self, options: Mapping[str, Any], timeout_ms: int) -> None:
        self._options = dict(options)
        self._timeout_s = timeout_ms / 1000
        self._clock = ProducerClock()
        # Not a method of this object: the producer would keep it, and it the producer, for ever.
        self._trouble = Trouble(options)
        own = {
            **options,
            **PRODUCER,
            "error_cb": self._trouble.note,
            "linger.ms": 0,
            # Past the caller's wait nothing lingers for long.
            "message.timeout.ms": max(timeout_ms, 1_000),
        }
        self._producer = Lasting(lambda: SelfServed(own, "jobstream-enqueue"))

    def submit(self, record: Outgoing, done: Done) -> None:
        """Queue one record; `done` is called by the thread that serves reports.

        Raises QueueFull, ConfigError for a bad client option, and EnqueueError: nothing is written
        then. They and the report give the cause; the caller adds whether the job may be written.
        """
        served = self._producer.get()
        produce = served.producer.produce
        topic, key, value, partition, headers = record
        report = partial(_report, done, self._clock, served)
        try:
            if headers is None:
                produce(topic, value, key, partition, report)
            else:
                produce(topic, value, key, partition, report, headers=headers)  # type: ignore[arg-type] # list is invariant
        except BufferError as error:
            message = "the local send queue is full"
            raise QueueFull(message) from error
        except KafkaException as error:
            served.told(error.args[0])
            # The client did not take it, whatever its reason.
            raise _refused(error.args[0], topic) from error

    def serve(self, pending: Lock, until: float) -> None:
        """Serve reports on this thread until `pending` is released, or until then.

        Returns at once where another thread serves them.
        """
        self._producer.get().serve(pending, until)

    def look(self) -> None:
        """Serve the reports that are there; returns at once."""
        self._producer.get().look()

    def hand_over(self) -> None:
        """Let a thread of the producer's own serve reports; returns at once."""
        self._producer.get().hand_over()

    def wait_for_room(self, timeout_s: float) -> bool:
        """Block until some record was acknowledged; False if the time is over."""
        return self._producer.get().wait_for_room(timeout_s)

    def partitions(self, topic: str, timeout_s: float = METADATA_S_MAX) -> int:
        """The topic's partition count as it is now, 0 if it does not exist.

        Blocks up to `timeout_s`. Raises EnqueueTimeout, and EnqueueError where the broker says no.
        """
        served = self._producer.get()
        try:
            found = served.producer.list_topics(topic, max(timeout_s, 0.001)).topics[topic]
        except KafkaException as error:
            served.told(error.args[0])
            raise self._unanswered(error.args[0], timeout_s) from error
        if found.error is not None and found.error.code() not in _MISSING:
            raise unwritten(EnqueueError(f"{topic}: {found.error.str()}; nothing was written"))
        return len(found.partitions) if found.error is None else 0

    def log(self) -> KafkaLog:
        """Reads topics there, as patient as an enqueue; connects at first use."""
        return KafkaLog(self._options, wait_s=self._timeout_s)

    def lag_reader(self, offsets_topic: str) -> KafkaLagReader:
        """Reads what tells the lag of queues there; connects at first use."""
        return KafkaLagReader(self._options, offsets_topic)

    def now_ms(self) -> int:
        """By this machine's clock."""
        return time.time_ns() // 1_000_000

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what is queued, for at most `timeout_s`, and stop."""
        self._producer.close(timeout_s)

    def _unanswered(self, error: KafkaError, timeout_s: float) -> EnqueueError:
        servers = self._options.get("bootstrap.servers")
        why = self._trouble.why(error.str())
        message = (
            f"no broker answers at {servers} within {timeout_s:.3g} s ({why}); nothing was "
            "written. Is the broker up, and are JOBSTREAM_BOOTSTRAP_SERVERS and the options of the "
            "Kafka client right?"
        )
        return unwritten(EnqueueTimeout(message))


def _report(
    done: Done, clock: ProducerClock, by: Unserved, error: KafkaError | None, message: Message
) -> None:
    if error is None:
        if time.monotonic() >= clock.look_at_s:
            clock.heard(message)
        done(None, message.partition() or 0, message.offset() or 0)
    else:
        by.told(error)
        done(_error_of(error, message.topic() or ""), -1, -1)


def _refused(error: KafkaError, topic: str) -> EnqueueError:
    # The client library says of a topic that was deleted that it lacks the partition, or the topic.
    gone = error.code() in (*_MISSING, KafkaError._UNKNOWN_PARTITION)  # noqa: SLF001 - its name
    why = f"topic {topic} {GONE}" if gone else error.str()
    return unwritten(EnqueueError(f"refused: {why}"))


def _error_of(error: KafkaError, topic: str) -> EnqueueError:
    if error.code() == KafkaError._UNKNOWN_PARTITION or is_refusal(error):  # noqa: SLF001 - its name
        return _refused(error, topic)
    kind: Callable[[str], EnqueueError] = EnqueueTimeout if is_passing(error) else EnqueueError
    return kind(f"not acknowledged: {error.str()}")
