"""Rows of what the log has no more: places of topics that are gone, letters past retention.

Without this, an answer would count as old for ever because of a topic that nobody can read on, and
a dead letter would stand open that no redrive can find.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, or_, select, update

from jobstream.views.db_tables import jobs, letters, places
from jobstream.views.upserts import chunks

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Connection

    from jobstream_processors.ports import TopicPartition

PLACES_AT_ONCE = 200
"""Partitions in one statement; more would be too many values for SQLite."""


def close_places(connection: Connection, topic_ids: Collection[str], now_ms: int) -> None:
    """Take places of other topics than these for read to their end: there is no more to read.

    The places stay: should the topic only have been out of sight, reading goes on there.
    """
    known = set(connection.execute(select(places.c.topic_id).distinct()).scalars())
    for gone in chunks(sorted(known.difference(topic_ids))):
        change = update(places).where(places.c.topic_id.in_(gone))
        connection.execute(change.values(end=places.c.next, checked_ms=now_ms))


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
