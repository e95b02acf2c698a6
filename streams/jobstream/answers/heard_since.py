"""From where on rows are heard, for who listens from now on. Pure; it reads nothing.

A partition that was there when the hearing began is heard from its end of then. One that came
since, of a new queue or of a topic that was made anew, is heard from its start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream_processors.ports import TopicPartition

    Spans = Mapping[TopicPartition, tuple[int, int]]


class HeardSince:
    """The ends of partitions as they were when the hearing began. Used by one thread."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._began: dict[TopicPartition, int] | None = None

    def spans(self, found: Spans, topic_ids: Mapping[str, str]) -> Spans:
        """What is to be heard of these (start, end); the first call is the beginning.

        Ask for the ids before the spans: then a topic that is replaced in between is noticed later.
        """
        if self._began is None:
            self._began = {place: high for place, (_, high) in found.items()}
        # An end of a topic that is gone says nothing of the one that has its name now.
        anew = {t for t, topic_id in topic_ids.items() if self._ids.get(t, topic_id) != topic_id}
        if anew:
            self._began = {at: high for at, high in self._began.items() if at[0] not in anew}
        # Also of topics that are away for now: they may come back with another id.
        self._ids |= topic_ids
        began = self._began
        return {
            place: (max(low, began.get(place, 0)), high) for place, (low, high) in found.items()
        }
