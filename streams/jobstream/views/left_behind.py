"""Rows of what the log has no more: places of topics that are gone, letters past retention.

Without this, an answer would count as old for ever because of a topic that nobody can read on, and
a dead letter would stand open that no redrive can find.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, or_, select, update

from jobstream.views.db_tables import gaps, jobs, letters, places
from jobstream.views.upserts import chunks, insert_new

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Connection

    from jobstream_processors.ports import TopicPartition

PLACES_AT_ONCE = 200
"""Partitions in one statement; more would be too many values for SQLite."""
ALL = 2**62
"""An offset that no log comes to."""
GONE = "the topic was deleted; what it told is still here, but for what was not folded yet"


def close_places(connection: Connection, topic_ids: Collection[str], now_ms: int) -> None:
    """Take places of other topics than these for read to their end: there is no more to read.

    The places stay: should the topic only have been out of sight, reading goes on there.
    """
    known = set(connection.execute(select(places.c.topic_id).distinct()).scalars())
    for gone in chunks(sorted(known.difference(topic_ids))):
        change = update(places).where(places.c.topic_id.in_(gone))
        connection.execute(change.values(end=places.c.next, checked_ms=now_ms))


def leave_topics(connection: Connection, topic_ids: Collection[str], now_ms: int) -> list[str]:
    """Note topics that were deleted, and forget their letters; returns the topics' names.

    Left out is one that is read again under its name: its beginning did both.
    """
    found: list[Any] = []
    for some in chunks(sorted(topic_ids)):
        found += connection.execute(select(places).where(places.c.topic_id.in_(some))).all()
    again = set()
    for some in chunks(sorted({row.topic for row in found})):
        known = select(places.c.topic, places.c.topic_id).where(places.c.topic.in_(some))
        again |= {r.topic for r in connection.execute(known) if r.topic_id not in topic_ids}
    gone = [row for row in found if row.topic not in again]
    rows = [
        {
            "topic": row.topic, "partition": row.partition, "topic_id": row.topic_id,
            "reason": GONE, "records": 0, "at_ms": now_ms,
        }
        for row in gone
    ]  # fmt: skip
    insert_new(connection, gaps, rows)
    forget_letters(connection, {(row.topic, row.partition): ALL for row in gone})
    return sorted({row.topic for row in gone})


def come_back(connection: Connection, topics: Collection[str]) -> None:
    """Take back that these topics were deleted: they are to be read."""
    for some in chunks(sorted(topics)):
        connection.execute(delete(gaps).where(gaps.c.topic.in_(some), gaps.c.reason == GONE))


def forget_letters(connection: Connection, lows: Mapping[TopicPartition, int]) -> int:
    """Delete the letters that lie before these offsets of their partitions; returns how many.

    Their jobs stay, and have no open letter any more.
    """
    found = 0
    starts = sorted(lows.items())
    for first in range(0, len(starts), PLACES_AT_ONCE):
        c = letters.c
        old = or_(
            *(
                and_(c.topic == topic, c.partition == partition, c.offset < low)
                for (topic, partition), low in starts[first : first + PLACES_AT_ONCE]
            )
        )
        ids = sorted(set(connection.execute(select(c.job_id).where(old)).scalars()))
        if not ids:
            continue
        found += connection.execute(delete(letters).where(old)).rowcount
        for some in chunks(ids):
            still = select(c.job_id).where(c.job_id.in_(some))
            closed = update(jobs).where(jobs.c.id.in_(some), jobs.c.id.not_in(still))
            connection.execute(closed.values(letter_open=False))
    return found
