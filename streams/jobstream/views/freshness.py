"""How old the answers are, by the places that are stored beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import case, func, select

from jobstream.views.db_tables import gaps, meta, places
from jobstream.views.view_answers import Freshness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

GAPS_MAX = 20
"""Gaps that are named; more are counted."""


def freshness(connection: Connection, now_ms: int) -> Freshness:
    """As it stands; `now_ms` is this machine's time."""
    c = places.c
    is_behind = c.next < c.end
    # What lies before the newest folded record is there; a partition that had nothing left was
    # complete when somebody looked.
    complete = case((is_behind, c.record_ms), else_=c.checked_ms)
    behind = case((is_behind, c.end - c.next), else_=0)
    row = connection.execute(select(func.min(complete), func.sum(behind))).one()
    as_of_ms = int(row[0] or 0)
    names = dict(connection.execute(select(meta.c.name, meta.c.value)).all())
    told = [names["incomplete"]] if names.get("incomplete") else []
    told += _gaps(connection)
    return Freshness(
        as_of_ms=as_of_ms,
        behind_records=int(row[1] or 0),
        behind_s=max(0.0, (now_ms - as_of_ms) / 1000) if as_of_ms else 0.0,
        incomplete=tuple(told if as_of_ms else ("nothing has been read yet", *told)),
    )


def _gaps(connection: Connection) -> Iterator[str]:
    """A sentence for each topic and reason, however many partitions it is true of."""
    c = gaps.c
    partitions, first = func.count(c.partition.distinct()), func.min(c.partition)
    query = select(c.topic, c.reason, partitions, first, func.sum(c.records))
    query = query.group_by(c.topic, c.reason).order_by(func.max(c.at_ms).desc()).limit(GAPS_MAX)
    for topic, reason, number, partition, records in connection.execute(query):
        where = f"{topic} [{partition}]" if number == 1 else f"{topic}, {number} partitions"
        lost = f"; {records:,} records are not in here" if records else ""
        yield f"{where}: {reason}{lost}"
