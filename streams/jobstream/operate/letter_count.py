"""How many dead letters are open, kept up with the log: counts and ages, no letter's content.

A million open letters fit in memory. What came with a job never becomes a name here: types are
those of known schemas, reasons those that jobstream gives.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from jobstream.operate.job_events import schema_of, type_by
from jobstream.operate.scan import place_of
from jobstream_processors.core.headers import headers_of, parse
from jobstream_processors.errors import BadHeaders

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobstream_processors.ports import Record, TopicPartition
    from jobstream_schemas import Catalogue

UNNAMED = "_unknown"
"""The type of what can't be named: no schema of the app says what it is."""
OTHER = "other"
REASONS = frozenset(
    (
        "attempts_exhausted",
        "bad_headers",
        "child_not_started",
        "crashed_worker",
        "dead_by_handler",
        "handler_not_importable",
        "id_conflict",
        "lifespan_failed",
        "permanent",
        "schema_mismatch",
        "snoozes_exhausted",
        "too_large_to_copy",
        "undecodable",
        "unknown_type",
    )
)
"""Reasons that jobstream gives; any other text counts as `other`."""


class OpenLetter(NamedTuple):
    """The fields of a letter that are kept."""

    schema: bytes
    """Which one says what it is: it may be learned of after the letter."""
    reason: str
    died_ms: int
    offset: int


class LetterCount:
    """The open letters of any number of topics. Used by one thread."""

    def __init__(self) -> None:
        self._open: dict[str, dict[tuple[int, bytes], OpenLetter]] = {}

    def take(self, record: Record) -> None:
        """Take the next record of a partition: a letter, or the tombstone that closes one."""
        topic, partition, offset = place_of(record)
        key = partition, record.key() or b""
        letters = self._open.setdefault(topic, {})
        value = record.value()
        if value is None:
            letters.pop(key, None)
            return
        try:
            reason = parse(headers_of(record)).reason
        except BadHeaders:
            reason = ""
        letters[key] = OpenLetter(
            schema=schema_of(value),
            reason=reason if reason in REASONS else OTHER,
            died_ms=record.timestamp()[1],
            offset=offset,
        )

    def forget(self, topic: str) -> None:
        """The topic was made anew."""
        self._open.pop(topic, None)

    def keep(self, spans: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """End what is no more: letters older than the log's start, and topics not named."""
        topics = {topic for topic, _ in spans}
        for topic in self._open.keys() - topics:
            del self._open[topic]
        for topic, letters in self._open.items():
            starts = {number: low for (name, number), (low, _) in spans.items() if name == topic}
            gone = [key for key, each in letters.items() if each.offset < starts.get(key[0], 0)]
            for key in gone:
                del letters[key]

    def of(self, topic: str) -> Iterable[OpenLetter]:
        """The open letters of a topic, as read so far."""
        return self._open.get(topic, {}).values()

    def counts(self, topic: str, catalogue: Catalogue) -> Counter[tuple[str, str]]:
        """(job type, reason) → how many, by the schemas that are known now."""
        found = Counter((each.schema, each.reason) for each in self.of(topic))
        named: Counter[tuple[str, str]] = Counter()
        for (schema, reason), count in found.items():
            named[type_by(catalogue, schema) or UNNAMED, reason] += count
        return named
