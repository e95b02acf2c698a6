"""Where a consumer group stands: what it committed, and the mirror that outlives the group."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Literal

from jobstream.kafka.follow.mirror_topic import MirrorTable
from jobstream.topics.names import delay_group, offsets_topic, worker_group
from jobstream_processors.ports import Position, TopicPartition
from jobstream_processors.topic_marks import of_topic
from jobstream_schemas import Mirror

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobstream.operate.view import AppView

GroupName = Literal["workers", "delay"]
_start = itemgetter(0)


@dataclass(frozen=True, slots=True)
class GroupPlace:
    """One partition, as one group sees it. Offsets are next offsets to read."""

    place: TopicPartition
    low: int
    """The first offset that retention has left."""
    high: int
    """The end: the next offset to be written."""
    committed: Position | None
    """None if the group never committed here, or was deleted."""
    mirror: Mirror | None
    topic_id: str

    @property
    def recorded(self) -> int | None:
        """The highest watermark in the mirror; None if there is none."""
        committed = self.committed.offset if self.committed is not None else -1
        mirrored = self.mirror.position if self.mirror is not None else -1
        highest = max(committed, mirrored)
        return highest if highest >= 0 else None

    @property
    def position(self) -> int:
        """Where the group goes on: the highest watermark anyone recorded, else the log's start.

        Workers refuse a place beyond the log's end: then all that the log holds may wait.
        """
        recorded = self.recorded or 0
        return max(self.low, recorded) if recorded <= self.high else self.low

    @property
    def on_record(self) -> int:
        """As `position`, but what retention has passed as well: a worker refuses to start there."""
        return self.low if self.recorded is None else self.recorded

    @property
    def unfinished(self) -> int:
        """The first offset that may be unfinished: the position, unless that is known finished.

        The log's start may have passed the watermark and stand among what was finished above it.
        """
        at = self.position
        for start, end in self.mirror.finished if self.mirror is not None else ():
            if start <= at < end:
                at = end
        return at

    def is_finished(self, offset: int) -> bool:
        """Whether the group has finished that record, by what it recorded last."""
        if offset < self.position:
            return True
        finished = self.mirror.finished if self.mirror is not None else ()
        at = bisect_right(finished, offset, key=_start) - 1
        return at >= 0 and offset < finished[at][1]

    def lost_since(self, offset: int) -> int:
        """Unfinished records at `offset` or above that retention deleted."""
        start, stop = max(offset, self.recorded or 0), self.low
        finished = self.mirror.finished if self.mirror is not None else ()
        done = sum(max(0, min(end, stop) - max(low, start)) for low, end in finished)
        return max(0, stop - start - done)

    @property
    def lag(self) -> int:
        """Records between there and the end; some may be finished out of order already."""
        return max(0, self.high - self.position)


def group_place(
    place: TopicPartition,
    topic_id: str,
    span: tuple[int, int],
    committed: Position | None,
    mirror: Mirror | None,
) -> GroupPlace:
    """Where a group stands; what it committed in an earlier topic of that name is left out."""
    return GroupPlace(place, *span, of_topic(committed, topic_id), mirror, topic_id)


def group_id(app: str, group: GroupName) -> str:
    """The id of the app's consumer group of that name."""
    return worker_group(app) if group == "workers" else delay_group(app)


def standings(
    view: AppView, group: GroupName, places: Sequence[TopicPartition]
) -> dict[TopicPartition, GroupPlace]:
    """Where the group stands on each partition; blocks for a few calls and the mirror's topic.

    True without any member running, and where the group never committed.
    """
    name = group_id(view.app, group)
    committed = view.cluster.committed(name, places)
    ids = view.cluster.topic_ids({topic for topic, _ in places})
    mirrors = _mirrors(view, name, places, ids)
    # Last, or a place that moved on meanwhile would look as if it were beyond the end.
    spans = view.cluster.spans(places)
    return {
        at: group_place(at, ids[at[0]], spans[at], committed.get(at), mirrors.get(at))
        for at in places
    }


def _mirrors(
    view: AppView, group: str, places: Sequence[TopicPartition], ids: Mapping[str, str]
) -> dict[TopicPartition, Mirror]:
    topic, table = offsets_topic(view.app), MirrorTable()
    spans = view.cluster.spans((topic, number) for number in range(view.counts.get(topic, 0)))
    for record in view.records(spans):
        table.take(record)
    found = {place: table.get(group, place, ids[place[0]]) for place in places}
    return {place: mirror for place, mirror in found.items() if mirror is not None}
