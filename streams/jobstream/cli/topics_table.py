"""The topics of an app as a table: a line for each queue, or for each topic. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobstream.topics.by_queue import TopicsOfQueue
    from jobstream.topics.plan import Plan
    from jobstream.topics.specs import TopicSpec

CREATED, UNSAFE, ALTERED, LEFT = "to be created", "UNSAFE", "to be altered", "differs, left alone"
GOOD = "as it should be"


class TableLines(NamedTuple):
    """A table to print."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def statuses(planned: Plan) -> dict[str, str]:
    """A word for each topic that is not as it should be; the worst one counts."""
    found = {d.topic: LEFT for d in planned.left}
    found |= {d.topic: ALTERED for d in planned.alter}
    found |= {d.topic: UNSAFE for d in planned.refused}
    return found | {spec.name: CREATED for spec in planned.create}


def queue_lines(groups: Iterable[TopicsOfQueue], status: Mapping[str, str]) -> TableLines:
    """A line for each queue, and one for what is the app's own."""
    rows = [
        (
            group.queue or "(the app)",
            len(group.specs),
            group.shape,
            group.copies,
            _status(group, status),
        )
        for group in groups
    ]
    return TableLines(("queue", "topics>", "partitions", "copies", "status"), rows)


def topic_lines(specs: Iterable[TopicSpec], status: Mapping[str, str]) -> TableLines:
    """A line for each topic."""
    rows = [
        (
            spec.name,
            spec.partitions,
            spec.replication,
            spec.configs["cleanup.policy"],
            status.get(spec.name, GOOD),
        )
        for spec in specs
    ]
    return TableLines(("topic", "partitions>", "copies>", "policy", "status"), rows)


def _status(group: TopicsOfQueue, status: Mapping[str, str]) -> str:
    """The word that holds for all its topics, or how many are not as they should be and why."""
    found = Counter(status.get(spec.name, GOOD) for spec in group.specs)
    if len(found) == 1:
        return next(iter(found))
    worst_first = {UNSAFE: UNSAFE, CREATED: CREATED, ALTERED: ALTERED, LEFT: "left alone"}
    return ", ".join(f"{found[of]} {word}" for of, word in worst_first.items() if found[of])
