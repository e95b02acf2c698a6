"""Writer schemas in the compacted schemas topic: published by producers, followed by every reader.

A topic that is made anew has lost them, and jobs that wait need theirs. So readers that can write
put back what they had read, and producers publish theirs again from time to time.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobstream.kafka.follow.compacted import Compacted
from jobstream_processors.ports import Outgoing
from jobstream_schemas import SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.ports import Log, Record, Sink
    from jobstream_schemas import Catalogue, JobSchema

log = logging.getLogger("jobstream.kafka")


def schema_record(topic: str, schema: JobSchema) -> Outgoing:
    """The record that lets every reader decode jobs of this schema."""
    return Outgoing(topic, schema.fingerprint.hex().encode(), schema.json.encode(), 0)


class SchemaFollower(Compacted):
    """Feeds a catalogue from the schemas topic. Safe to use from several threads.

    A schema that is refused is logged and left out: jobs of it are of an unknown schema. With a
    `sink` it puts back what a topic that was made anew has lost.
    """

    THREAD = "jobstream-schemas"
    UNREAD = "schemas_unread"

    def __init__(
        self, reader: Log, topic: str, catalogue: Catalogue, sink: Sink | None = None
    ) -> None:
        super().__init__(reader, topic)
        self._catalogue = catalogue
        self._sink = sink
        self._held: dict[bytes, bytes] = {}
        """What the topic holds, by key."""
        self._missing: dict[bytes, bytes] = {}
        """What a topic before it held, and it does not."""

    def follow(self, interval_s: float, failed: Callable[[BaseException], object]) -> None:
        """Catch up once per interval, from a thread of its own, until closed."""
        self._keep_up(interval_s, failed)

    def _begin_anew(self) -> None:
        self._missing |= self._held
        self._held = {}

    def _take(self, record: Record) -> None:
        if (value := record.value()) is None:
            return
        try:
            self._catalogue.register(value.decode())
        except (SchemaError, UnicodeDecodeError) as error:
            log.warning("schema_refused", extra={"reason": str(error)})
        self._held[record.key() or b""] = value

    def _caught_up(self) -> None:
        """Publish what is missing; raises PublishFailed, and is tried again with the next look."""
        missing = {key: value for key, value in self._missing.items() if key not in self._held}
        if missing and self._sink is not None:
            records = [Outgoing(self.topic, key, value, 0) for key, value in missing.items()]
            self._sink.publish(records)
            log.warning("schemas_put_back", extra={"schemas": len(records)})
        self._missing = {}
