"""Scans an app at an interval: what waits, since when, who reads it, which letters are open.

It joins no group, commits nothing and asks no worker. It keeps state between two scans only to
make the next one cheap; a new onlooker sees the same, only later.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jobstream.kafka.client.onlooker_clock import OnlookerClock
from jobstream.kafka.follow.mirror_topic import MirrorTable
from jobstream.operate.backlog import Backlog
from jobstream.operate.job_events import type_of
from jobstream.operate.ladder_reasons import LadderReasons
from jobstream.operate.letter_count import UNNAMED, LetterCount
from jobstream.operate.peek import Peek
from jobstream.operate.positions import group_id, group_place
from jobstream.operate.scan import HEAD_BYTES, heads, scan
from jobstream.operate.sight import MAIN, GroupSize, LettersOpen, PartitionLag, Sight
from jobstream.operate.tail import Follower
from jobstream.topics.names import offsets_topic
from jobstream_processors.core.orders import counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from jobstream.operate.ladder_reasons import LadderWait
    from jobstream.operate.layout import QueueTopics
    from jobstream.operate.peek import Head
    from jobstream.operate.positions import GroupName
    from jobstream.operate.view import AppView
    from jobstream_processors.ports import Position, Record, TopicPartition

    Names = Mapping[TopicPartition, tuple[str, str]]
    Spans = Mapping[TopicPartition, tuple[int, int]]
    Commits = Mapping[TopicPartition, Position | None]

RETENTION_LOOKS = 40
"""Looks after which the topics' settings are asked for again."""
_GROUPS: tuple[GroupName, ...] = ("workers", "delay")


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
        self._backlog = Backlog(
            self._sampled,
            lambda record: type_of(view.catalogue, record.value() or b""),
            UNNAMED,
        )
        self._ladder = LadderReasons(self._sampled)
        self._retention: dict[str, int] = {}
        self._looks = 0
        self._last_ends: Spans = {}
        """The last look's (start, end) of each partition."""
        self._last_ends_ms: int | None = None
        """When those were asked for; monotonic."""

    def look(self, queue: str | None = None) -> Sight:
        """Scan once. Blocks while asking: some ten seconds a question, if no broker answers.

        The first scan reads the offsets topic and all dead letters, later ones what was added.
        Raises BrokerUnavailable, BrokerRefused, ReadStalled, or NotThere for an app without queues.
        """
        view = self._view
        view.look_again()
        queues = view.queues(queue)
        named = dict(_places(queues))
        followed = _followed(view, queues)
        commits = self._commits(named)
        places = [(group, place) for group, found in commits.items() for place in found]
        wanted = {*followed, *(place for _, place in places)}
        ids = view.cluster.topic_ids({topic for topic, _ in wanted})
        asked_ms = self._clock.monotonic_ms()
        spans = view.cluster.spans(wanted)
        self._catch_up({place: spans[place] for place in followed}, ids)
        rows = []
        for group, place in places:
            topic_id = ids[place[0]]
            mirror = self._mirrors.get(group, place, topic_id)
            at = group_place(place, topic_id, spans[place], commits[group][place], mirror)
            rows.append(PartitionLag(group, *named[place], at))
        rows = self._dated(rows)
        self._last_ends, self._last_ends_ms = spans, asked_ms
        self._ask_retention({row.standing.place[0] for row in rows})
        return Sight(
            taken_ms=self._clock.monotonic_ms(),
            broker_ms=self._clock.broker_ms(),
            queues=tuple(each.name for each in queues),
            partitions=tuple(rows),
            groups=self._sizes(commits),
            letters={each.name: self._letters_of(each) for each in queues},
            retention_ms=self._retention,
            backlog=self._backlog_of(rows),
            ladder=self._ladder_of(rows),
            control=self._in_force(),
        )

    def broker_ms(self) -> int:
        """Broker time in epoch milliseconds, by what was looked at so far."""
        return self._clock.broker_ms()

    def reconnect(self) -> None:
        """Turn to the cluster anew, after a look that failed; what is known stays known."""
        self._view.reconnect()

    def _commits(self, named: Names) -> dict[str, Commits]:
        """Group → all its partitions, with what it committed there."""
        view = self._view
        found: dict[str, Commits] = {}
        for name in _GROUPS:
            group = group_id(view.app, name)
            mine = [place for place, (_, rung) in named.items() if bool(rung) == (name == "delay")]
            committed = view.cluster.committed(group, mine)
            found[group] = {place: committed.get(place) for place in mine}
        return found

    def _catch_up(self, spans: Spans, ids: Mapping[str, str]) -> None:
        """Read what was added to the compacted topics."""
        offsets = offsets_topic(self._view.app)
        newest: dict[TopicPartition, int] = {}
        mine = {topic: ids[topic] for topic, _ in spans}
        for record in self._follower.advance(spans, mine):
            place = (record.topic() or "", record.partition() or 0)
            newest[place] = max(newest.get(place, 0), record.timestamp()[1])
            if record.topic() == offsets:
                self._mirrors.take(record)
            else:
                self._letters.take(record)
        for place, append_ms in newest.items():
            self._clock.observe(place, append_ms, absent_at_ms=self._last_ends_ms)
        self._letters.keep(spans)

    def _made_anew(self, topic: str) -> None:
        if topic == offsets_topic(self._view.app):
            self._mirrors = MirrorTable()
        self._letters.forget(topic)

    def _dated(self, rows: Sequence[PartitionLag]) -> list[PartitionLag]:
        """The rows with the age of their oldest unfinished record."""
        waiting = {row.standing.place: row for row in rows if row.is_waiting}
        at = {
            place: (row.standing.topic_id, row.standing.unfinished)
            for place, row in waiting.items()
        }
        oldest = self._peek.at(at, {place: row.rung for place, row in waiting.items()})
        for place, head in oldest.items():
            absent_at_ms = self._absent_at(waiting[place])
            self._clock.observe(place, head.append_ms, absent_at_ms=absent_at_ms)
        now_ms = self._clock.broker_ms()
        return [_aged(row, oldest.get(row.standing.place), now_ms) for row in rows]

    def _absent_at(self, row: PartitionLag) -> int | None:
        """When the record with which that partition goes on was not there yet; None: not known."""
        at = row.standing
        end = self._last_ends.get(at.place, (0, None))[1]
        is_new = end is not None and at.unfinished >= end
        return self._last_ends_ms if is_new else None

    def _letters_of(self, queue: QueueTopics) -> LettersOpen:
        letters = list(self._letters.of(queue.dlq))
        oldest_ms = min((each.died_ms for each in letters), default=None)
        now_ms = self._clock.broker_ms()
        return LettersOpen(
            counts=self._letters.counts(queue.dlq, self._view.catalogue),
            oldest_s=max(0, now_ms - oldest_ms) / 1000 if oldest_ms is not None else 0.0,
        )

    def _backlog_of(self, rows: Sequence[PartitionLag]) -> Mapping[tuple[str, str], float]:
        waiting = {
            row.standing.place: (row.standing.position, row.standing.high)
            for row in rows
            if row.tier == MAIN and row.standing.lag
        }
        names = {row.standing.place: row.queue for row in rows if row.tier == MAIN}
        return self._backlog.look(names, waiting)

    def _ladder_of(self, rows: Sequence[PartitionLag]) -> Mapping[tuple[str, str], LadderWait]:
        rungs = [row for row in rows if row.rung]
        waiting = {
            row.standing.place: (row.standing.position, row.standing.high)
            for row in rungs
            if row.standing.lag
        }
        return self._ladder.look({row.standing.place: row.queue for row in rungs}, waiting)

    def _sampled(self, spans: Spans) -> Iterator[Record]:
        return scan(self._view.options | {"fetch.message.max.bytes": HEAD_BYTES}, spans)

    def _in_force(self) -> Mapping[str, int]:
        return counts(self._view.orders(self._clock.broker_ms), self._clock.broker_ms())

    def _ask_retention(self, topics: set[str]) -> None:
        if self._looks % RETENTION_LOOKS == 0 or topics - self._retention.keys():
            self._retention = self._view.cluster.retention_ms(topics)
        self._looks += 1

    def _sizes(self, groups: Iterable[str]) -> dict[str, GroupSize]:
        found = self._view.cluster.memberships(groups)
        return {
            group: GroupSize(len(members), sum(not each.partitions for each in members))
            for group, members in found.items()
        }


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


def _aged(row: PartitionLag, head: Head | None, now_ms: int) -> PartitionLag:
    if head is None:
        return row
    age_ms, late_ms = max(0, now_ms - head.append_ms), max(0, now_ms - head.late_from_ms)
    return replace(row, age_s=age_ms / 1000, overdue_s=late_ms / 1000)
