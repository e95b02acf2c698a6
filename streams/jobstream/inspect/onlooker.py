"""Looks at an app again and again: what waits, since when, who reads it, which letters are open.

It joins no group, commits nothing and asks no worker. What it keeps from look to look makes
the next one cheap; a new onlooker sees the same, only later.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from jobstream.inspect.follow import Follower
from jobstream.inspect.letter_count import LetterCount
from jobstream.inspect.peek import Peek
from jobstream.inspect.positions import Standing, group_id
from jobstream.inspect.scan import heads
from jobstream.inspect.sight import GroupSize, LettersOpen, PartitionLag, Sight
from jobstream.kafka.mirrors import MirrorTable
from jobstream.kafka.onlooker_clock import OnlookerClock
from jobstream.kafka.topics import offsets_topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jobstream.inspect.layout import QueueTopics
    from jobstream.inspect.peek import Head
    from jobstream.inspect.positions import GroupName
    from jobstream.inspect.view import AppView
    from jobstream_processors.ports import TopicPartition

    Spans = Mapping[TopicPartition, tuple[int, int]]

RETENTION_LOOKS = 40
"""Looks after which the topics' settings are asked for again."""


class Onlooker:
    """Used by one thread."""

    def __init__(self, view: AppView, clock: OnlookerClock | None = None) -> None:
        """Prepare; nothing is asked yet."""
        self._view = view
        self._clock = clock or OnlookerClock()
        self._mirrors = MirrorTable()
        self._letters = LetterCount()
        self._follower = Follower(view.records, self._made_anew)
        self._peek = Peek(lambda starts: heads(view.options, starts))
        self._retention: dict[str, int] = {}
        self._looks = 0
        self._last_ends_ms: int | None = None
        """When the ends of the last look were asked for; monotonic."""

    def look(self, queue: str | None = None) -> Sight:
        """What is there now. Blocks while asking: some ten seconds a question, if nobody answers.

        The first look reads the offsets topic and all dead letters, later ones what was added.
        Raises BrokerUnavailable, BrokerRefused, ReadStalled, or NotThere for an app without queues.
        """
        view = self._view
        view.look_again()
        queues = view.queues(queue)
        named = dict(_places(queues))
        followed = _followed(view, queues)
        ids = view.cluster.topic_ids({topic for topic, _ in (*named, *followed)})
        asked_ms = self._clock.monotonic_ms()
        spans = view.cluster.spans([*named, *followed])
        self._catch_up({place: spans[place] for place in followed}, ids)
        self._last_ends_ms = asked_ms
        standings = self._standings(named, spans, ids)
        partitions = self._overdue(named, standings)
        self._ask_retention(ids.keys())
        groups = {group_id(view.app, group): self._size(group) for group in _GROUPS}
        return Sight(
            taken_ms=self._clock.monotonic_ms(),
            queues=tuple(each.name for each in queues),
            partitions=tuple(partitions),
            groups=groups,
            letters={each.name: self._letters_of(each) for each in queues},
            retention_ms={topic: ms for topic, ms in self._retention.items() if topic in ids},
        )

    def reconnect(self) -> None:
        """Turn to the cluster anew, after a look that failed; what is known stays known."""
        self._view.reconnect()

    def _catch_up(self, spans: Spans, ids: Mapping[str, str]) -> None:
        """Read what was added to the compacted topics."""
        offsets = offsets_topic(self._view.app)
        catalogue = self._view.catalogue
        topics = {topic for topic, _ in spans}
        newest_ms = 0
        mine = {topic: each for topic, each in ids.items() if topic in topics}
        for record in self._follower.advance(spans, mine):
            newest_ms = max(newest_ms, record.timestamp()[1])
            if record.topic() == offsets:
                self._mirrors.take(offsets, record.value())
            else:
                self._letters.take(catalogue, record)
        if newest_ms:
            self._clock.observe(newest_ms, absent_at_ms=self._last_ends_ms)
        self._letters.keep(spans)

    def _made_anew(self, topic: str) -> None:
        if topic == offsets_topic(self._view.app):
            self._mirrors = MirrorTable()
        self._letters.forget(topic)

    def _standings(
        self,
        named: Mapping[TopicPartition, tuple[str, str]],
        spans: Spans,
        ids: Mapping[str, str],
    ) -> dict[TopicPartition, tuple[str, Standing]]:
        """Where the app's groups stand, each on its own partitions."""
        found = {}
        for name in _GROUPS:
            group = group_id(self._view.app, name)
            mine = [place for place, (_, rung) in named.items() if bool(rung) == (name == "delay")]
            committed = self._view.cluster.committed(group, mine)
            for place in mine:
                topic_id = ids[place[0]]
                found[place] = (
                    group,
                    Standing(
                        place=place,
                        low=spans[place][0],
                        high=spans[place][1],
                        committed=committed.get(place),
                        mirror=self._mirrors.get(group, place, topic_id),
                        topic_id=topic_id,
                    ),
                )
        return found

    def _overdue(
        self,
        named: Mapping[TopicPartition, tuple[str, str]],
        standings: Mapping[TopicPartition, tuple[str, Standing]],
    ) -> list[PartitionLag]:
        rungs = {place: rung for place, (_, rung) in named.items()}
        lagging = {
            place: (each.topic_id, each.unfinished)
            for place, (_, each) in standings.items()
            if each.unfinished < each.high
        }
        oldest = self._peek.at(lagging, rungs)
        for head in oldest.values():
            self._clock.observe(head.append_ms, absent_at_ms=None)
        now_ms = self._clock.broker_ms()
        return [
            PartitionLag(group, *named[place], each, *_since(oldest.get(place), now_ms))
            for place, (group, each) in standings.items()
        ]

    def _letters_of(self, queue: QueueTopics) -> LettersOpen:
        letters = list(self._letters.of(queue.dlq))
        oldest_ms = min((each.died_ms for each in letters), default=None)
        now_ms = self._clock.broker_ms()
        return LettersOpen(
            counts=Counter((each.job_type, each.reason) for each in letters),
            oldest_s=max(0, now_ms - oldest_ms) / 1000 if oldest_ms is not None else 0.0,
        )

    def _ask_retention(self, topics: Iterable[str]) -> None:
        wanted = set(topics)
        if self._looks % RETENTION_LOOKS == 0 or wanted - self._retention.keys():
            self._retention = self._view.cluster.retention_ms(wanted)
        self._looks += 1

    def _size(self, group: GroupName) -> GroupSize:
        members = self._view.cluster.membership(group_id(self._view.app, group))
        return GroupSize(len(members), sum(not each.partitions for each in members))


_GROUPS: tuple[GroupName, ...] = ("workers", "delay")


def _places(queues: Sequence[QueueTopics]) -> list[tuple[TopicPartition, tuple[str, str]]]:
    """Every partition of queues and rungs, with the names of both."""
    return [
        (place, (queue.name, rung))
        for queue in queues
        for rung, topic in (("", queue.topic), *queue.rungs.items())
        for place in queue.places(topic)
    ]


def _followed(view: AppView, queues: Sequence[QueueTopics]) -> list[TopicPartition]:
    """Every partition of the compacted topics that are read to their end."""
    offsets = offsets_topic(view.app)
    letters = [place for queue in queues if queue.dlq for place in queue.places(queue.dlq)]
    return [(offsets, number) for number in range(view.counts.get(offsets, 0))] + letters


def _since(head: Head | None, now_ms: int) -> tuple[float, float]:
    """Age and overdue seconds of the oldest record."""
    if head is None:
        return 0.0, 0.0
    return max(0, now_ms - head.append_ms) / 1000, max(0, now_ms - head.late_from_ms) / 1000
