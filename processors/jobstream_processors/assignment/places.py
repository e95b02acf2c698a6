"""Where the reading of a partition begins: the highest place recorded for this topic.

Places are recorded twice, as a group's commit and as a mirror. Both name the incarnation of the
topic, since a topic that was deleted and created again has other records at the same offsets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jobstream_processors.errors import OffsetOutOfRange
from jobstream_processors.topic_marks import of_topic

if TYPE_CHECKING:
    from jobstream_processors.ports import Log, Mirrors, Position, TopicPartition
    from jobstream_schemas import Mirror

YOUNGER_MS = 60_000
"""How much younger than its mirror a record before the mirrored place may seem: clocks differ."""
RESET_WITH = "Stop the workers, then decide: jobstream offsets reset MODULE:APP QUEUE --to TIME"
DECIDE = f"nothing is skipped silently. {RESET_WITH}"


class Place(NamedTuple):
    """Where to start, in which incarnation of the topic, who recorded it, and the log's end."""

    start: int
    topic_id: str
    committed: Position | None
    mirror: Mirror | None
    end: int


def find(
    reader: Log, mirrors: Mirrors, group: str, source: TopicPartition, committed: Position | None
) -> Place:
    """Where `group` goes on; blocks for a few answers. `committed` is what it has committed.

    Raises OffsetOutOfRange where that place is not in the log, or where the log was cut off below
    it and has grown past it again.
    """
    try:
        return _find(reader, mirrors, group, source, committed)
    except OffsetOutOfRange:
        # The topic may have been made anew since its id was asked for last.
        reader.topic_id(source[0], anew=True)
    return _find(reader, mirrors, group, source, committed)


def _find(
    reader: Log, mirrors: Mirrors, group: str, source: TopicPartition, committed: Position | None
) -> Place:
    topic_id = reader.topic_id(source[0])
    told = of_topic(committed, topic_id)
    mirror = mirrors.get(group, source, topic_id)
    low, high = reader.span(source)
    start = start_of(source, told, mirror, (low, high))
    if mirror is not None and mirror.position > low:
        # Everything before a mirrored place was there when the mirror was written.
        younger = reader.since(source, mirror.at + YOUNGER_MS)
        if younger < mirror.position:
            message = (
                f"{source[0]} [{source[1]}]: next offset {start} is in the log, but the records "
                f"from {younger} on, before it, were written after it was recorded: the log had "
                f"lost its end, and has grown past the place again; {DECIDE}"
            )
            raise OffsetOutOfRange(message)
    return Place(start, topic_id, told, mirror, high)


def start_of(
    source: TopicPartition, committed: Position | None, mirror: Mirror | None, span: tuple[int, int]
) -> int:
    """The highest place that was recorded; the start of the log if none was.

    Raises OffsetOutOfRange if the log begins later or ends before.
    """
    low, high = span
    recorded = [
        *([committed.offset] if committed is not None else []),
        *([mirror.position] if mirror is not None else []),
    ]
    start = max(recorded, default=low)
    if low <= start <= high:
        return start
    what = "was deleted by retention" if start < low else "lies beyond the end of the log"
    message = (
        f"{source[0]} [{source[1]}]: next offset {start} {what} (the log holds {low} to {high}); "
        f"{DECIDE}"
    )
    raise OffsetOutOfRange(message)
