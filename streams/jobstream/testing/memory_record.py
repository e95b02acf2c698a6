"""A record of the broker in memory, in the shape of confluent-kafka's `Message`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from jobstream_processors.core.headers import Headers
    from jobstream_processors.ports import Outgoing

# confluent_kafka.TIMESTAMP_LOG_APPEND_TIME: the broker's time on every topic of ours.
LOG_APPEND_TIME: Final = 2


class MemoryRecord:
    """One appended record. It never changes; headers are handed out as a fresh list."""

    __slots__ = (
        "_appended_ms",
        "_headers",
        "_key",
        "_offset",
        "_partition",
        "_topic",
        "_value",
        "sequence",
    )

    def __init__(
        self, record: Outgoing, place: tuple[int, int], appended_ms: int, sequence: int
    ) -> None:
        self._topic = record.topic
        self._key = record.key
        self._value = record.value
        self._headers = tuple(record.headers or ())
        self._partition, self._offset = place
        self._appended_ms = appended_ms
        self.sequence = sequence
        """Its place among all records of the broker, which Kafka does not tell. For tests alone."""

    def topic(self) -> str:
        """Its topic."""
        return self._topic

    def partition(self) -> int:
        """Its partition."""
        return self._partition

    def offset(self) -> int:
        """Its offset."""
        return self._offset

    def key(self) -> bytes | None:
        """Its key; an empty one is not None."""
        return self._key

    def value(self) -> bytes | None:
        """Its value; None is a tombstone, empty is not."""
        return self._value

    def headers(self) -> Headers | None:
        """Its headers, None if there are none."""
        return list(self._headers) or None

    def timestamp(self) -> tuple[int, int]:
        """(log append time, epoch milliseconds of the broker's clock)."""
        return LOG_APPEND_TIME, self._appended_ms

    def error(self) -> None:
        """Errors are raised by `poll`; a delivered record has none."""
        return

    def __len__(self) -> int:
        return len(self._value or b"")

    def __repr__(self) -> str:
        place = f"{self._topic}:{self._partition}:{self._offset}"
        return f"MemoryRecord({place}, key={self._key!r}, value={self._value!r})"
