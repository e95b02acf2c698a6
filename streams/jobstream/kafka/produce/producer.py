"""The client's producer: one record or a million, acknowledged, across threads, loops and forks."""

from __future__ import annotations

import ctypes
import logging
import os
import threading
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Producer

from jobstream.errors import ConfigError, EnqueueError, EnqueueTimeout, QueueFull
from jobstream.kafka.client.admin_calls import Trouble
from jobstream.kafka.client.error_kinds import is_fatal, is_passing, is_refusal
from jobstream.kafka.follow.topic_reader import KafkaLog
from jobstream.kafka.produce.done_rows import tell_broken
from jobstream.kafka.produce.producer_clock import ProducerClock
from jobstream.kafka.produce.sink import PRODUCER
from jobstream.roles.green_threads import poll
from jobstream_processors.background import in_background

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from confluent_kafka import Message

    from jobstream.enqueue.acks import Done
    from jobstream_processors.ports import Outgoing

log = logging.getLogger("jobstream.kafka")

METADATA_S_MAX = 5.0
GONE = (
    "does not exist any more, or has fewer partitions than its queue declares; see the difference "
    "with: jobstream topics plan MODULE:APP"
)
_MISSING = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)  # noqa: SLF001 - the library's name


class KafkaTransport:
    """The client's way to a broker. Safe to use from any thread, and after a fork."""

    def __init__(self, options: Mapping[str, Any], timeout_ms: int) -> None:
        self._given = dict(options)
        self._timeout_s = timeout_ms / 1000
        # Not a method of this object: the producer would keep it, and it the producer, for ever.
        self._trouble = Trouble(options)
        self._options = {
            **options,
            **PRODUCER,
            "error_cb": self._trouble.note,
            "linger.ms": 0,
            # Past the caller's wait nothing lingers for long.
            "message.timeout.ms": max(timeout_ms, 1_000),
        }
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        self._room = threading.Event()
        self._closing = False
        self._clock = ProducerClock()
        myself = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forget(myself))

    def submit(self, record: Outgoing, done: Done) -> None:
        """Queue one record; `done` is called on another thread.

        Raises QueueFull, ConfigError for a bad client option, and EnqueueError: nothing is written
        then. What they and the report say is why; whoever sends adds what it means for the record.
        """
        producer = self._producer or self._start()
        topic, key, value, partition, headers = record
        report = partial(_report, done, self._clock)
        try:
            if headers is None:
                producer.produce(topic, value, key, partition, report)
            else:
                producer.produce(topic, value, key, partition, report, headers=headers)  # type: ignore[arg-type] # list is invariant
        except BufferError as error:
            message = "the local send queue is full"
            raise QueueFull(message) from error
        except KafkaException as error:
            if is_fatal(error.args[0]):
                self.replace(producer)
            # The client did not take it, whatever its reason.
            raise _refused(error.args[0], topic) from error

    def wait_for_room(self, timeout_s: float) -> bool:
        """Block until some record was acknowledged; False if the time is over."""
        self._room.clear()
        return self._room.wait(timeout_s)

    def partitions(self, topic: str, timeout_s: float = METADATA_S_MAX) -> int:
        """The topic's partition count as it is now, 0 if it does not exist.

        Blocks up to `timeout_s`. Raises EnqueueTimeout, and EnqueueError where the broker says no.
        """
        producer = self._producer or self._start()
        try:
            found = producer.list_topics(topic, max(timeout_s, 0.001)).topics[topic]
        except KafkaException as error:
            raise self._unanswered(error.args[0], timeout_s) from error
        if found.error is not None and found.error.code() not in _MISSING:
            raise _unwritten(EnqueueError(f"{topic}: {found.error.str()}; nothing was written"))
        return len(found.partitions) if found.error is None else 0

    def log(self) -> KafkaLog:
        """Reads topics there, as patient as an enqueue; connects at first use."""
        return KafkaLog(self._given, wait_s=self._timeout_s)

    def now_ms(self) -> int:
        """By this machine's clock."""
        return time.time_ns() // 1_000_000

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what is queued, for at most `timeout_s`, and stop."""
        with self._lock:
            producer, self._producer = self._producer, None
            self._closing = True
        if producer is not None:
            producer.flush(timeout_s)

    def forget(self) -> None:
        """In a forked child: the inherited producer's threads do not exist here.

        It is leaked on purpose, since its destructor would wait for them for ever.
        """
        self._lock = threading.Lock()
        self._room = threading.Event()
        if self._producer is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._producer))
            self._producer = None

    def _unanswered(self, error: KafkaError, timeout_s: float) -> EnqueueError:
        servers = self._options.get("bootstrap.servers")
        why = self._trouble.why(error.str())
        message = (
            f"no broker answers at {servers} within {timeout_s:.3g} s ({why}); nothing was "
            "written. Is the broker up, and are JOBSTREAM_BOOTSTRAP_SERVERS and the options of the "
            "Kafka client right?"
        )
        return _unwritten(EnqueueTimeout(message))

    def replace(self, broken: Producer) -> None:
        """A producer with a fatal error never works again; the next submit makes a new one."""
        with self._lock:
            if self._producer is broken:
                self._producer = None

    def _start(self) -> Producer:
        with self._lock:
            if self._producer is None:
                self._closing = False
                producer = self._made()
                # By a weak reference: an app that nobody holds any more must not live on in it.
                myself = weakref.ref(self)
                serve, ended = partial(_serve, myself, producer), partial(_ended, myself, producer)
                in_background("jobstream-enqueue", serve, ended)
                self._producer = producer
            return self._producer

    def _made(self) -> Producer:
        try:
            return Producer(self._options)
        except KafkaException as error:
            message = f"the Kafka client refuses its options: {error.args[0].str()}"
            raise ConfigError(message) from error

    def serves(self, producer: Producer) -> bool:
        """Whether reports of `producer` are still waited for."""
        return not self._closing and self._producer in (None, producer)

    def reported(self) -> None:
        """Some record was acknowledged or given up: there is room."""
        self._room.set()


def _serve(of: weakref.ref[KafkaTransport], producer: Producer) -> None:
    """Serve delivery reports until the producer is closed, or its transport gone.

    One that broke for good is served to its last report: callers wait for them.
    """
    while (transport := of()) is not None and (transport.serves(producer) or len(producer)):
        del transport
        try:
            served = poll(producer)
        except KafkaException as error:
            tell_broken(error)
            if (transport := of()) is not None:
                transport.replace(producer)
        else:
            if served and (transport := of()) is not None:
                transport.reported()


def _ended(of: weakref.ref[KafkaTransport], producer: Producer, error: BaseException) -> None:
    """Nobody serves that producer any more: the next enqueue makes another."""
    log.error("enqueue_thread_failed", exc_info=error, extra={"reason": repr(error)})
    if (transport := of()) is not None:
        transport.replace(producer)


def _report(done: Done, clock: ProducerClock, error: KafkaError | None, message: Message) -> None:
    if error is None:
        clock.heard(message)
        done(None, message.partition() or 0, message.offset() or 0)
    else:
        done(_error_of(error, message.topic() or ""), -1, -1)


def _forget(transport: weakref.ref[KafkaTransport]) -> None:
    alive = transport()
    if alive is not None:
        alive.forget()


def _unwritten(error: EnqueueError) -> EnqueueError:
    error.may_be_written = False
    return error


def _refused(error: KafkaError, topic: str) -> EnqueueError:
    # The client library says of a topic that was deleted that it lacks the partition, or the topic.
    gone = error.code() in (*_MISSING, KafkaError._UNKNOWN_PARTITION)  # noqa: SLF001 - its name
    why = f"topic {topic} {GONE}" if gone else error.str()
    return _unwritten(EnqueueError(f"refused: {why}"))


def _error_of(error: KafkaError, topic: str) -> EnqueueError:
    if error.code() == KafkaError._UNKNOWN_PARTITION or is_refusal(error):  # noqa: SLF001 - its name
        return _refused(error, topic)
    kind: Callable[[str], EnqueueError] = EnqueueTimeout if is_passing(error) else EnqueueError
    return kind(f"not acknowledged: {error.str()}")
