"""Looks at the one record with which each partition goes on; remembers it until the place moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jobstream_processors.core.headers import FIRST, headers_of, parse
from jobstream_processors.core.ladder import wait_on
from jobstream_processors.errors import BadHeaders

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobstream_processors.ports import Record, TopicPartition

    Fetch = Callable[[Mapping[TopicPartition, int]], dict[TopicPartition, Record]]


class Head(NamedTuple):
    """Two moments of the oldest unfinished record, by the broker, in epoch milliseconds."""

    append_ms: int
    late_from_ms: int
    """From when on it is late that the record stands where it does."""


def head_of(record: Record, rung: str) -> Head:
    """The head that a record is: on a queue ("") it is late from its append on."""
    append_ms = record.timestamp()[1]
    if not rung:
        return Head(append_ms, append_ms)
    try:
        carried = parse(headers_of(record))
    except BadHeaders:
        carried = FIRST  # the delayer takes it away at once
    wait = wait_on(rung, append_ms, carried.due_ms, carried.delay_ms)
    return Head(append_ms, wait.late_from_ms)


class Peek:
    """The heads of partitions, fetched only where the place moved. Used by one thread."""

    def __init__(self, fetch: Fetch) -> None:
        """`fetch` returns the first record at or after each offset, where there is one."""
        self._fetch = fetch
        self._seen: dict[TopicPartition, tuple[str, int, Head]] = {}

    def at(
        self, places: Mapping[TopicPartition, tuple[str, int]], rungs: Mapping[TopicPartition, str]
    ) -> dict[TopicPartition, Head]:
        """The head at each (topic id, offset); partitions without one are left out.

        Blocks while fetching. Partitions not asked for are forgotten. `rungs` names the rung of
        those that are one.
        """
        known = {p: seen for p, seen in self._seen.items() if places.get(p) == seen[:2]}
        new = {p: offset for p, (_, offset) in places.items() if p not in known}
        found = self._fetch(new)
        for place, offset in new.items():
            if (record := found.get(place)) is not None:
                head = head_of(record, rungs.get(place, ""))
                known[place] = (places[place][0], offset, head)
        self._seen = known
        return {place: head for place, (_, _, head) in known.items()}
