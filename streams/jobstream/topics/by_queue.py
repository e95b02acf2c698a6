"""Topics gathered by the queue that they belong to: one line for a person, not eleven. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jobstream.topics.names import Kind, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream.topics.specs import TopicSpec


class TopicsOfQueue(NamedTuple):
    """The topics of one queue, or those that the app has of its own."""

    queue: str
    """"" for the app's own."""
    specs: tuple[TopicSpec, ...]

    def __str__(self) -> str:
        """What it is and how large, on one line."""
        name = f"queue {self.queue}" if self.queue else "the app's own"
        return f"{name}: {counted(len(self.specs), 'topic')}, {self.shape}, {self.copies}"

    @property
    def partitions(self) -> int:
        """Of all its topics together."""
        return sum(spec.partitions for spec in self.specs)

    @property
    def shape(self) -> str:
        """How many partitions its topics have; the ladder is told apart where it has others."""
        own = {spec.partitions for spec in self.specs if spec.kind is not Kind.RUNG}
        rungs = {spec.partitions for spec in self.specs if spec.kind is Kind.RUNG}
        text = f"{counted(max(own), 'partition')} each"
        return text if rungs <= own else f"{text}, {_between(rungs)} a rung"

    @property
    def copies(self) -> str:
        """How many of each topic."""
        return counted(self.specs[0].replication, "copy", "copies")


def by_queue(specs: Iterable[TopicSpec]) -> list[TopicsOfQueue]:
    """The topics by queue, in their order."""
    found: dict[str, list[TopicSpec]] = {}
    for spec in specs:
        found.setdefault(queue_of(spec.name), []).append(spec)
    return [TopicsOfQueue(queue, tuple(of)) for queue, of in found.items()]


def queue_of(topic: str) -> str:
    """The queue of a topic, "" if it is of no single one."""
    named = parse(topic)
    return named.queue if named is not None else ""


def counted(count: int, one: str, many: str = "") -> str:
    """The number with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _between(counts: set[int]) -> str:
    least, most = min(counts), max(counts)
    return str(least) if least == most else f"{least} to {most}"
