"""Consumer groups that are not the app's: which of them are meant, and what they committed.

Which topics a group reads is told by its commits alone; a topic that it never committed on does not
belong to it. It joins no group.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jobstream.operate.cluster import ClusterReader
    from jobstream_processors.ports import Position, TopicPartition

GROUPS_MAX = 200
"""Groups looked at; the first by name, if patterns match more."""
SEARCH_LOOKS = 40
"""Looks after which all topics are asked for again, as a group may have taken up another one."""
_INTERNAL = "__"
_WILD = frozenset("*?[")


def chosen(patterns: Sequence[str], there: Iterable[str], own: frozenset[str]) -> list[str]:
    """The groups meant by `patterns`: those that match, and plain names even if not there."""
    plain = {each for each in patterns if not _WILD & set(each)}
    found = {group for group in there if any(fnmatchcase(group, each) for each in patterns)}
    return sorted((plain | found) - own)[:GROUPS_MAX]


class ForeignGroups:
    """Used by one thread."""

    def __init__(self, patterns: Sequence[str], own: frozenset[str]) -> None:
        """`own` are the app's groups, which have lag of their own."""
        self._patterns = patterns
        self._own = own
        self._topics: dict[str, set[str]] = {}
        self._looks = 0

    def look(
        self, cluster: ClusterReader, counts: Mapping[str, int]
    ) -> dict[str, dict[TopicPartition, Position]]:
        """Group → what it committed; a group that is not there has nothing. Blocks while asking."""
        if not self._patterns:
            return {}
        wild = any(_WILD & set(each) for each in self._patterns)
        groups = chosen(self._patterns, cluster.groups() if wild else (), self._own)
        if self._looks % SEARCH_LOOKS == 0:
            self._topics.clear()
        self._looks += 1
        found = {}
        for group in groups:
            topics = self._topics.get(group) or set(counts)
            places = [
                (topic, number)
                for topic in sorted(topics)
                if not topic.startswith(_INTERNAL)
                for number in range(counts.get(topic, 0))
            ]
            found[group] = cluster.committed(group, places)
            self._topics[group] = {topic for topic, _ in found[group]}
        return found
