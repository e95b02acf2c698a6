"""The one place that makes producers and replaces them: those that broke, or lost their brokers.

The client library raises a fatal error once, where its events are served; from then on it refuses
all that it is given. Who waits for reports of a broken producer hears them to the last.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from confluent_kafka import KafkaException, Producer

from jobstream.kafka.client.construct import made
from jobstream.kafka.client.error_kinds import is_fatal, is_unanswered
from jobstream.kafka.client.green_threads import poll
from jobstream_processors.background import in_background
from jobstream_processors.forked import tell_in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from confluent_kafka import KafkaError

log = logging.getLogger("jobstream.kafka")

PRODUCER: Mapping[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    "partitioner": "murmur2_random",
    # A question about a topic would create it, where the broker allows that, by its defaults.
    "allow.auto.create.topics": False,
    "linger.ms": 1,
    # Far above a broker's fail-over: a record given up earlier leaves its outcome unknown.
    "message.timeout.ms": 120_000,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 262_144,
}
OLD_S = 60.0
"""A producer of this age that got no answer is replaced: see `Unserved.told`."""
REPORTS_S = 150.0
"""How long a publish waits for its reports: each is due after message.timeout.ms at the latest."""
ROOM_S = 0.05


class Unserved:
    """A producer that reports when it is flushed. Once `broken`, it takes no more."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.producer: Producer = made(Producer, options)
        self.broken = False
        """Whether it broke for good, see `is_fatal`: what it still holds is reported as failed."""
        self.stale = False
        """Whether another is to take what comes; this one goes on with what it has."""
        self._made_s = time.monotonic()

    def told(self, error: KafkaError) -> None:
        """Hear why it could not do what it was asked, and see whether another one is needed.

        Without an answer as well: it may have lost its brokers for good, as `deaf.py` tells, and
        only a new client finds them again. So that is tried, once a minute at most.
        """
        if is_fatal(error):
            self.broken = True
        elif is_unanswered(error):
            self.stale = self.stale or time.monotonic() - self._made_s > OLD_S

    def flush(self, timeout_s: float) -> None:
        """Wait at most `timeout_s` for reports, no longer than until all are there."""
        try:
            self.producer.flush(timeout_s)
        except (KafkaException, SystemError) as error:
            # A flush raises a fatal error as one or the other (confluent-kafka 2.16).
            self.broke(error)

    def broke(self, error: KafkaException | SystemError) -> None:
        """It reported a fatal error, and another takes its place."""
        self.broken = True
        log.error("producer_broken", extra={"reason": reason_of(error)})

    def failed(self, error: BaseException) -> None:
        """Its own thread ended, on which this is called: a fault of ours.

        What is under way finds no report, and another takes its place.
        """
        self.broken = True
        extra = {"name_of_thread": threading.current_thread().name, "reason": repr(error)}
        log.error("producer_failed", exc_info=error, extra=extra)

    def retire(self) -> None:
        """It gets no more records."""


class Served(Unserved):
    """A producer and the thread that serves its reports, until it is retired and has no more."""

    def __init__(self, options: Mapping[str, Any], thread: str) -> None:
        super().__init__(options)
        self._room = threading.Event()
        self._retired = False
        in_background(thread, self._serve, self.failed)

    def wait_for_room(self, timeout_s: float = ROOM_S) -> bool:
        """Block until a record was reported since the last call; False if the time is over."""
        reported = self._room.wait(timeout_s)
        self._room.clear()
        return reported

    def retire(self) -> None:
        """Let the thread end once all that is out is reported; returns at once."""
        self._retired = True

    def _serve(self) -> None:
        while not self._retired or len(self.producer):
            if self.broken:
                # A record that was just being queued would stay until it is too old. What is under
                # way is left alone: brokers answer for it.
                self.producer.purge(in_flight=False)
            try:
                if poll(self.producer):
                    self._room.set()
            except KafkaException as error:
                self.broke(error)


Kind = TypeVar("Kind", bound=Unserved)


class Lasting(Generic[Kind]):
    """The producer of one owner, made at first use. Safe to use from any thread, after a fork too.

    Its threads do not keep it: once its owner is gone, they end when all is reported.
    """

    def __init__(self, make: Callable[[], Kind]) -> None:
        self._make = make
        self._now: Kind | None = None
        self._lock = threading.Lock()
        tell_in_child(self)

    def get(self) -> Kind:
        """The producer that works; raises ConfigError if the client library refuses its options."""
        now = self._now
        if now is not None and not (now.broken or now.stale):
            return now
        with self._lock:
            if self._now is None or self._now.broken or self._now.stale:
                self._drop()
                self._now = self._make()
            return self._now

    def close(self, timeout_s: float) -> None:
        """Send what is queued, for at most `timeout_s`, and stop; the next use makes a new one."""
        with self._lock:
            now = self._drop()
        if now is not None and not now.broken:
            now.flush(timeout_s)

    def abandon(self) -> None:
        """End what is still queued or under way, and send nothing more."""
        with self._lock:
            now = self._drop()
        if now is not None:
            now.producer.purge()

    def forked(self) -> None:
        """In a forked child: the inherited producer's threads do not exist here."""
        self._lock, self._now = threading.Lock(), None

    def __del__(self) -> None:
        """Let the thread of the last one end."""
        self._drop()

    def _drop(self) -> Kind | None:
        now, self._now = self._now, None
        if now is not None:
            now.retire()
        return now


def reason_of(error: KafkaException | SystemError) -> str:
    """What the client library says of it."""
    return error.args[0].str() if isinstance(error, KafkaException) else str(error)
