"""Which commits a coordinator refused, so that they are sent again.

A consumer commits a place once. Where the coordinator has just moved, that one is lost, and on a
partition that gets no more records no later one would make it good: its lag would stand for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import TopicPartition as Place

    from jobstream_processors.ports import TopicPartition

AGAIN_MS = 1_000
_FINAL = frozenset(
    (
        KafkaError.OFFSET_METADATA_TOO_LARGE,
        KafkaError.INVALID_COMMIT_OFFSET_SIZE,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
    )
)
"""A repetition would be refused for the same reason."""


class Commits:
    """The last commit of each partition. Knows no client; used by one thread."""

    def __init__(self) -> None:
        self._last: dict[TopicPartition, Place] = {}
        self._refused: set[TopicPartition] = set()
        self._next_ms = 0

    def sent(self, places: Iterable[Place]) -> None:
        """These are on their way; they take the place of what was sent before."""
        for place in places:
            partition = (place.topic, place.partition)
            self._last[partition] = place
            self._refused.discard(partition)

    def answered(self, error: KafkaError | None, places: Iterable[Place], now_ms: int) -> None:
        """The coordinator's answer: `error` for all of them, or each its own."""
        for place in places:
            partition, why = (place.topic, place.partition), error or place.error
            last = self._last.get(partition)
            # An answer to an older commit says nothing of the newer one, which is under way.
            if why is None or why.code() in _FINAL or last is None or last.offset != place.offset:
                continue
            if not self._refused:
                self._next_ms = now_ms + AGAIN_MS
            self._refused.add(partition)

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Others own these now."""
        for partition in partitions:
            self._last.pop(partition, None)
            self._refused.discard(partition)

    def again(self, now_ms: int) -> list[Place]:
        """What is to be sent again now; nothing within AGAIN_MS of a refusal."""
        if not self._refused or now_ms < self._next_ms:
            return []
        return [self._last[partition] for partition in sorted(self._refused)]
