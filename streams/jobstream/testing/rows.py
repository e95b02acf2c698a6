"""Follows the rows of a dedup topic, each with the broker's time of its append.

For tests that wait until jobs are settled, or check afterwards how they were. It belongs to no
consumer group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jobstream_processors.core.known import DONE
from jobstream_schemas import DecodeError, Row, parse_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from jobstream_processors.ports import Log, Record


class StampedRow(NamedTuple):
    """A row of the dedup topic and the broker's time of its append, in epoch milliseconds."""

    row: Row
    at_ms: int


class Rows:
    """The rows of some dedup topics, from their beginning on. Used by one thread at a time."""

    def __init__(self, log: Log, topics: Mapping[str, int]) -> None:
        """Follow each topic of `topics`, which maps names to partition counts; reads nothing."""
        self._log = log
        self._next = {(t, p): 0 for t, count in topics.items() for p in range(count)}

    def new(self) -> Iterator[StampedRow]:
        """The rows appended since the last call; blocks while it reads.

        Rows of one partition come in the order of the log. Tombstones and records that are no rows
        are passed over: they settle nothing. Raises what the log raises; then call again.
        """
        for place, start in self._next.items():
            first, end = self._log.span(place)
            for batch in self._log.read(place, max(first, start), end):
                yield from parsed(batch)
            self._next[place] = end


def ends(rows: Iterable[StampedRow]) -> dict[str, str]:
    """Job id → the state that `rows` end it in; a job that is done is nothing else as well."""
    found: dict[str, str] = {}
    for row, _ in rows:
        if row.kind == "job" and found.get(row.id) != DONE:
            found[row.id] = row.state
    return found


def parsed(batch: Iterable[Record]) -> Iterator[StampedRow]:
    """The rows among these records."""
    for record in batch:
        try:
            row = parse_row(record.key() or b"", record.value() or b"")
        except DecodeError:
            continue
        yield StampedRow(row, record.timestamp()[1])
