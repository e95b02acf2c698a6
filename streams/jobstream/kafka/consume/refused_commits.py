"""Which commits a coordinator refused, so that they are sent again.

A consumer commits a place once. Where the coordinator has just moved, that one is lost, and on a
partition that gets no more records no later one would make it good: its lag would stand for ever.

A coordinator answers a connection in order, and a commit waits there for all replicas, for seconds
when one of them has died. Heartbeats behind it are not heard, and members that live lost their
sessions. So one commit is on its way at a time, and after a refusal there is room for heartbeats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import TopicPartition as Place

    from jobstream_processors.ports import TopicPartition

AGAIN_MS = 1_000
AGAIN_MS_MAX = 4_000
"""Refusals in a row double the pause up to this. A heartbeat that was blocked before it and one
after it still are within a session of six seconds."""
TROUBLE_MS = 10_000
"""So long after a broker was lost no commit is sent that can wait: until then, by Kafka's default,
the cluster has taken it out of the replicas that a commit waits for. Mirrors hold the places."""
TROUBLE_AGAIN_MS = 50_000
UNDER_WAY_MS = 15_000
"""A commit that was not answered by then never is: the client gives up after ten seconds."""
_LOST = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)  # noqa: SLF001 - its names
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
        self._pause_ms = AGAIN_MS
        self._under_way_ms = 0
        self._trouble_ms = -TROUBLE_AGAIN_MS
        self._lost = False

    def is_held(self, now_ms: int) -> bool:
        """Whether a commit would have to wait: for the one before it, or for brokers in trouble."""
        if self._lost and now_ms >= self._trouble_ms + TROUBLE_AGAIN_MS:
            self._trouble_ms = now_ms + TROUBLE_MS
        self._lost = False
        until_ms = max(self._under_way_ms, self._trouble_ms)
        return now_ms < until_ms or (bool(self._refused) and now_ms < self._next_ms)

    def trouble(self, error: KafkaError) -> None:
        """What happened to a connection, told by the client inside a poll.

        Told again and again of a broker that stays away, it holds commits once a minute.
        """
        self._lost = self._lost or error.code() in _LOST

    def puts_off(self, places: list[Place], now_ms: int) -> bool:
        """Keep these for later if they have to wait now; whether they have."""
        held = self.is_held(now_ms)
        if held:
            self.later(places)
        return held

    def later(self, places: Iterable[Place]) -> None:
        """These are to be sent as soon as one may; they take the place of what waits."""
        for place in places:
            partition = (place.topic, place.partition)
            self._last[partition] = place
            self._refused.add(partition)

    def sent(self, places: Iterable[Place], until_ms: int = 0) -> None:
        """These are on their way, until `until_ms` at most; they take the place of older ones."""
        self._under_way_ms = until_ms
        for place in places:
            partition = (place.topic, place.partition)
            self._last[partition] = place
            self._refused.discard(partition)

    def answered(self, error: KafkaError | None, places: Iterable[Place], now_ms: int) -> None:
        """The coordinator's answer: `error` for all of them, or each its own."""
        self._under_way_ms = 0
        refused = False
        for place in places:
            partition, why = (place.topic, place.partition), error or place.error
            last = self._last.get(partition)
            # An answer to an older commit says nothing of the newer one, which is under way.
            if why is None or why.code() in _FINAL or last is None or last.offset != place.offset:
                continue
            self._refused.add(partition)
            refused = True
        if refused:
            self._next_ms = now_ms + self._pause_ms
            self._pause_ms = min(2 * self._pause_ms, AGAIN_MS_MAX)
        else:
            self._pause_ms = AGAIN_MS

    def refused(self, places: Iterable[Place]) -> list[Place]:
        """Those of these that a repetition may bring through."""
        return [place for place in places if (place.topic, place.partition) in self._refused]

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Others own these now."""
        for partition in partitions:
            self._last.pop(partition, None)
            self._refused.discard(partition)

    def again(self, now_ms: int) -> list[Place]:
        """What is to be sent again now, or was put off; nothing while commits are held."""
        if not self._refused or self.is_held(now_ms):
            return []
        return [self._last[partition] for partition in sorted(self._refused)]
