"""The mark in a commit's note that says in which incarnation of its topic it is a place.

A topic made anew under its old name has other records at the same offsets.
"""

from __future__ import annotations

from jobstream_processors.ports import Position

_OF = "@"


def in_topic(position: Position, topic_id: str) -> Position:
    """The position to commit: its note says in which incarnation of the topic it is a place."""
    return Position(position.offset, f"{position.note}{_OF}{topic_id}") if topic_id else position


def of_topic(committed: Position | None, topic_id: str) -> Position | None:
    """What was committed, without that mark; None if it is a place in another incarnation.

    A commit without a mark is a tool's, and is believed.
    """
    if committed is None:
        return None
    _, of, named = committed.note.rpartition(_OF)
    return without_topic(committed) if not of or named == topic_id else None


def without_topic(committed: Position) -> Position:
    """What was committed, in whichever incarnation of the topic, without that mark."""
    note, of, _ = committed.note.rpartition(_OF)
    return Position(committed.offset, note) if of else committed
