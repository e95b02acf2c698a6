"""A producer whose reports are served by the very thread that waits for one.

A report that another thread serves costs two wake-ups: of that thread, then of the one that waits.
So who sends and waits polls meanwhile. A thread of the producer's own serves as soon as two wait at
a time, and for coroutines, until nothing was under way for a while.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException

from jobstream.kafka.client.green_threads import POLL_S, patched_by, poll
from jobstream.kafka.produce.lasting import ROOM_S, Unserved
from jobstream_processors.background import in_background

if TYPE_CHECKING:
    from collections.abc import Mapping


class SelfServed(Unserved):
    """One thread polls at a time: a caller, or the producer's own. Safe to use from any thread."""

    def __init__(self, options: Mapping[str, Any], thread: str) -> None:
        super().__init__(options)
        self._serving = threading.Lock()
        """Held by the thread that polls."""
        self._called = threading.Event()
        """Set while the producer's own thread serves."""
        self._was_served = False
        """Whether a caller polled since the own thread last looked."""
        self._room = threading.Event()
        self._retired = False
        in_background(thread, self._serve, self.failed)

    def serve(self, pending: threading.Lock, until: float) -> None:
        """Poll until `pending` is released, or until that monotonic time.

        Returns at once where another thread serves, and where green threads would stand still.
        Raises what a signal's handler raises meanwhile.
        """
        if not self._leads():
            return
        try:
            while pending.locked() and (left := until - time.monotonic()) > 0:
                self._poll(min(left, POLL_S))
        finally:
            self._serving.release()
            # In this order: who sent meanwhile found the lock taken, and waits for a report.
            if len(self.producer):
                self._called.set()

    def look(self) -> None:
        """Serve the reports that are there, unless another thread does; returns at once."""
        if not self._leads():
            return
        try:
            self._poll(0.0)
        finally:
            self._serving.release()

    def hand_over(self) -> None:
        """Let the producer's own thread serve until nothing is under way; returns at once."""
        if not self._called.is_set():
            self._called.set()

    def wait_for_room(self, timeout_s: float = ROOM_S) -> bool:
        """Block until a record was reported since the last call; False if the time is over."""
        if self._leads():
            try:
                return bool(self._poll(timeout_s))
            finally:
                self._serving.release()
        reported = self._room.wait(timeout_s)
        self._room.clear()
        return reported

    def retire(self) -> None:
        """Let the thread end once all that is out is reported; returns at once."""
        self._retired = True

    def _leads(self) -> bool:
        """Whether the calling thread is the one that polls now: it has `_serving` then."""
        if (
            self._called.is_set()
            or patched_by() is not None
            or not self._serving.acquire(blocking=False)
        ):
            self.hand_over()
            return False
        self._was_served = True
        return True

    def _poll(self, timeout_s: float) -> int:
        """Serve reports; only with `_serving`."""
        if self.broken:
            # A record that was just being queued would stay until it is too old. What is under
            # way is left alone: brokers answer for it.
            self.producer.purge(in_flight=False)
        served = 0
        try:
            served = poll(self.producer, timeout_s)
        except KafkaException as error:
            self.broke(error)
        if served:
            self._room.set()
        return served

    def _serve(self) -> None:
        while not self._retired or len(self.producer):
            if self._called.wait(POLL_S):
                with self._serving:
                    served = self._poll(POLL_S)
                if not served and not len(self.producer):
                    self._called.clear()
                    if len(self.producer):
                        # Sent just before by a caller that saw it set.
                        self._called.set()
            elif self._was_served:
                self._was_served = False
            elif self._serving.acquire(blocking=False):
                # Reports that nobody waits for any more, and calls of the client library.
                try:
                    self._poll(0.0)
                finally:
                    self._serving.release()
                if len(self.producer):
                    self._called.set()
