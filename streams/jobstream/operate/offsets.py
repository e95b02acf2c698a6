"""Moves a consumer group on purpose: the committed offset and its mirror, both or it has no effect.

It refuses while the group has members. It never deletes a record or a row, so jobs that settled
within the dedup window are dropped again, not run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.errors import ConfigError
from jobstream.operate.errors import GroupBusy, NotThere
from jobstream.operate.positions import GroupName, GroupPlace, group_id, standings
from jobstream.topics.apply import CREATE
from jobstream.topics.by_queue import counted
from jobstream.topics.names import offsets_topic
from jobstream_processors.ports import Outgoing, Position
from jobstream_processors.topic_marks import in_topic
from jobstream_schemas import RESET, Mirror, encode_mirror, mirror_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream.operate.layout import QueueTopics
    from jobstream.operate.view import AppView
    from jobstream_processors.ports import Sink, TopicPartition

Found = Mapping["TopicPartition", GroupPlace]
Target = Callable[["AppView", Found], "dict[TopicPartition, int]"]


@dataclass(frozen=True, slots=True)
class Move:
    """One partition to be moved."""

    standing: GroupPlace
    to: int


def earliest(_view: AppView, found: Found) -> dict[TopicPartition, int]:
    """The start of each log."""
    return {place: each.low for place, each in found.items()}


def latest(_view: AppView, found: Found) -> dict[TopicPartition, int]:
    """The end of each log: what is there now is skipped."""
    return {place: each.high for place, each in found.items()}


def at_offset(offset: int) -> Target:
    """That offset in every partition; refused where the log does not hold it."""

    def target(_view: AppView, found: Found) -> dict[TopicPartition, int]:
        for (topic, partition), each in found.items():
            if not each.low <= offset <= each.high:
                message = (
                    f"offset {offset} is not in {topic} [{partition}], which holds {each.low} to "
                    f"{each.high}; choose one inside, or name one partition"
                )
                raise ConfigError(message)
        return dict.fromkeys(found, offset)

    return target


def at_time(epoch_ms: int) -> Target:
    """The first record appended then or later, by the broker's clock."""
    return lambda view, found: view.cluster.at_time(found, epoch_ms)


def places_of(
    queue: QueueTopics, group: GroupName, partition: int | None = None
) -> list[TopicPartition]:
    """The partitions that the group reads of a queue: its own, or those of its rungs."""
    topics = [queue.topic] if group == "workers" else list(queue.rungs.values())
    places = queue.places(*topics)
    chosen = [place for place in places if partition is None or place[1] == partition]
    if not places:
        message = f"topics do not exist: {', '.join(topics) or 'all rungs'}; {CREATE}"
        raise NotThere(message)
    if not chosen:
        message = f"queue {queue.name!r} has no partition {partition}; it has {len(places)}"
        raise NotThere(message)
    return chosen


def plan_reset(
    view: AppView, group: GroupName, places: Sequence[TopicPartition], target: Target
) -> list[Move]:
    """The moves of a reset; changes nothing. Raises ConfigError for an offset outside."""
    found = standings(view, group, places)
    wanted = target(view, found)
    moves = [Move(found[place], to) for place, to in wanted.items()]
    return [move for move in moves if move.to != move.standing.on_record]


def refuse_if_busy(view: AppView, group: GroupName) -> None:
    """Raise GroupBusy if the group has members: they would commit over a reset."""
    name = group_id(view.app, group)
    members = view.cluster.members(name)
    if members:
        shown = ", ".join(members[:5])
        message = f"group {name!r} has {counted(len(members), 'member')} ({shown}); stop them first"
        raise GroupBusy(message)


def reset(view: AppView, sink: Sink, group: GroupName, moves: Sequence[Move]) -> None:
    """Carry out `moves`; blocks until mirror and offsets are acknowledged.

    Raises GroupBusy with nothing changed. A failure half-way is mended by doing it again.
    """
    refuse_if_busy(view, group)
    if not moves:
        return
    name, topic = group_id(view.app, group), offsets_topic(view.app)
    mirrors = [_mirror(name, move) for move in moves]
    # A worker starts at the higher of the two. Going back, the offset must not be what is left.
    sink.publish([Outgoing(topic, mirror_key(m), encode_mirror(m)) for m in mirrors])
    view.cluster.commit(name, {move.standing.place: _position(move) for move in moves})


def _mirror(group: str, move: Move) -> Mirror:
    topic, partition = move.standing.place
    return Mirror(
        group=group,
        topic=topic,
        topic_id=move.standing.topic_id,
        partition=partition,
        position=move.to,
        finished=(),
        unclean=RESET,
        at=time.time_ns() // 1_000_000,
    )


def _position(move: Move) -> Position:
    # The note says whether the last owner left cleanly, which a reset does not change.
    committed, topic_id = move.standing.committed, move.standing.topic_id
    return in_topic(Position(move.to, committed.note if committed is not None else ""), topic_id)
