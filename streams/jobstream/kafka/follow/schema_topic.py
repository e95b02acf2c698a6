"""Writer schemas in the compacted schemas topic: published by producers, followed by every reader.

A topic that is made anew has lost them, and jobs that wait need theirs. So readers that can write
put back what they had read, and producers publish theirs again from time to time.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from jobstream_processors.background import in_background
from jobstream_processors.ports import Outgoing
from jobstream_schemas import SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.ports import Log, Sink
    from jobstream_schemas import Catalogue, JobSchema

log = logging.getLogger("jobstream.kafka")


def schema_record(topic: str, schema: JobSchema) -> Outgoing:
    """The record that lets every reader decode jobs of this schema."""
    return Outgoing(topic, schema.fingerprint.hex().encode(), schema.json.encode(), 0)


class SchemaFollower:
    """Feeds a catalogue from the schemas topic. Safe to use from several threads.

    With a `sink` it puts back what a topic that was made anew has lost.
    """

    def __init__(
        self, reader: Log, topic: str, catalogue: Catalogue, sink: Sink | None = None
    ) -> None:
        self._sink = sink
        self._read: dict[bytes, bytes] = {}
        """What the topic holds, by key."""
        self._missing: dict[bytes, bytes] = {}
        """What a topic before it held, and it does not."""
        self._reader = reader
        self._place = (topic, 0)
        self._catalogue = catalogue
        self._topic_id = ""
        self._next = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def catch_up(self) -> None:
        """Read what was written since the last call; blocks for that.

        A topic that was deleted and created again is read from its start. A schema that is refused
        is logged and left out: jobs of it are of an unknown schema.
        """
        with self._lock:
            # In this order: a topic that is replaced in between is noticed at the next call.
            topic_id = self._reader.topic_id(self._place[0], anew=True)
            low, high = self._reader.span(self._place)
            if topic_id != self._topic_id or high < self._next:
                self._topic_id, self._next = topic_id, 0
                self._missing |= self._read
                self._read = {}
            for batch in self._reader.read(self._place, max(low, self._next), high):
                for record in batch:
                    value = record.value()
                    if value is not None:
                        self._register(value)
                        self._read[record.key() or b""] = value
            self._next = high
            self._put_back()

    def _put_back(self) -> None:
        """Publish what is missing; raises PublishFailed, and is tried again with the next look."""
        missing = {key: value for key, value in self._missing.items() if key not in self._read}
        if missing and self._sink is not None:
            records = [Outgoing(self._place[0], key, value, 0) for key, value in missing.items()]
            self._sink.publish(records)
            log.warning("schemas_put_back", extra={"schemas": len(records)})
        self._missing = {}

    def follow(self, interval_s: float, failed: Callable[[BaseException], object]) -> None:
        """Catch up once per interval, from a thread of its own, until closed.

        A topic that can't be read is tried again; what else ends that thread is given to `failed`.
        """

        def run() -> None:
            while not self._closing.wait(interval_s):
                try:
                    self.catch_up()
                except Exception as error:  # noqa: BLE001 - the next round tries again
                    log.warning("schemas_unread", extra={"reason": str(error)})

        in_background("jobstream-schemas", run, failed)

    def close(self) -> None:
        """Stop following."""
        self._closing.set()

    def _register(self, value: bytes) -> None:
        try:
            self._catalogue.register(value.decode())
        except (SchemaError, UnicodeDecodeError) as error:
            log.warning("schema_refused", extra={"reason": str(error)})
