"""Reads only records written to many partitions since the last time, so that a scan stays cheap.

It keeps only offsets. A topic that was deleted and made again is read from its start, and its
reader forgets what it knew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jobstream_processors.ports import Record, TopicPartition

    Spans = Mapping[TopicPartition, tuple[int, int]]
    Read = Callable[[Spans], Iterator[Record]]


class Follower:
    """Where reading goes on, for each partition. Used by one thread."""

    def __init__(self, read: Read, forget: Callable[[str], None]) -> None:
        """`read` yields the records of given ranges; `forget` hears the topics made anew."""
        self._read = read
        self._forget = forget
        self._next: dict[TopicPartition, int] = {}
        self._ids: dict[str, str] = {}

    def advance(self, spans: Spans, topic_ids: Mapping[str, str]) -> Iterator[Record]:
        """The records that came since the last time, up to the ends in `spans`.

        Blocks while reading. If the reading fails or is not finished, it begins anew the next time
        with what it did not finish: a record may come twice, in order.
        """
        for topic, topic_id in topic_ids.items():
            if self._ids.setdefault(topic, topic_id) != topic_id:
                self._forget(topic)
                self._ids[topic] = topic_id
                self._next = {at: here for at, here in self._next.items() if at[0] != topic}
        wanted = {
            place: (max(low, self._next.get(place, 0)), high)
            for place, (low, high) in spans.items()
            if max(low, self._next.get(place, 0)) < high
        }
        yield from self._read(wanted)
        self._next |= {place: high for place, (_, high) in wanted.items()}
