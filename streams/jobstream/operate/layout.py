"""Which queues an app has on a cluster, read off the names of topics. Pure; asks no broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.topics.names import Kind, parse, queue_topic

if TYPE_CHECKING:
    from jobstream_processors.ports import TopicPartition


@dataclass(frozen=True, slots=True)
class QueueTopics:
    """The topics of one queue that exist, with their partition counts."""

    name: str
    topic: str
    dlq: str
    dedup: str
    rungs: Mapping[str, str]
    """Rung name → topic, from the shortest delay to the longest."""
    counts: Mapping[str, int]
    """Topic → partitions."""

    def places(self, *topics: str) -> list[TopicPartition]:
        """Every partition of these topics; one that does not exist has none."""
        return [(topic, number) for topic in topics for number in range(self.counts.get(topic, 0))]


def queues_of(app: str, counts: Mapping[str, int], rungs: tuple[str, ...]) -> list[QueueTopics]:
    """The queues of `app` among all topics of a cluster, by name.

    A topic that merely looks like a queue's is not one: a queue has dead letters or rows beside it.
    """
    mine: dict[str, dict[tuple[Kind, str], str]] = {}
    for topic in counts:
        named = parse(topic)
        if named is not None and named.app == app and named.queue:
            mine.setdefault(named.queue, {})[named.kind, named.rung] = topic
    return [
        QueueTopics(
            name=name,
            topic=queue_topic(app, name),
            dlq=topics.get((Kind.DLQ, ""), ""),
            dedup=topics.get((Kind.DEDUP, ""), ""),
            rungs={rung: topics[Kind.RUNG, rung] for rung in rungs if (Kind.RUNG, rung) in topics},
            counts={topic: counts[topic] for topic in topics.values()},
        )
        for name, topics in sorted(mine.items())
        if topics.keys() & {(Kind.DLQ, ""), (Kind.DEDUP, "")}
    ]
