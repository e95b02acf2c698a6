"""Retention: jobs that ended long ago, or are too many, leave the tables, a few at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import delete, func, select

from jobstream.views.database import own_turn
from jobstream.views.db_tables import attempts, audit, jobs, minutes, tallies
from jobstream.views.job_writing import MINUTE_MS
from jobstream.views.shown import LIVE
from jobstream.views.upserts import chunks, upsert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine

BATCH = 2_000
"""Jobs deleted in one transaction."""
MINUTES_MS = 2 * 86_400_000
_SECOND = 1_000


class Keep(NamedTuple):
    """How long and how many."""

    jobs_ms: int = 30 * 86_400_000
    """A job that ended is kept for so long after."""
    jobs_max: int = 5_000_000
    """At most so many jobs are kept: those that ended first go first."""


def delete_old(engine: Engine, keep: Keep, now_ms: int) -> int:
    """Delete some of what is too old or too much; returns how many jobs. Blocks until committed.

    Raises what `own_turn` does.
    """
    with own_turn(engine) as connection:
        total = connection.execute(select(func.coalesce(func.sum(tallies.c.n), 0))).scalar_one()
        many = min(BATCH, max(0, int(total) - keep.jobs_max))
        found = _oldest(connection, now_ms - keep.jobs_ms, many)
        if found:
            _delete(connection, found)
        old = (now_ms - MINUTES_MS) // MINUTE_MS
        connection.execute(delete(minutes).where(minutes.c.minute < old))
        connection.execute(delete(audit).where(audit.c.at_ms < now_ms - 367 * 86_400 * _SECOND))
    return len(found)


def _oldest(connection: Connection, before_ms: int, many: int) -> list[tuple[str, str, str, str]]:
    ended = jobs.c.state.not_in(LIVE)
    columns = (jobs.c.id, jobs.c.queue, jobs.c.job_type, jobs.c.state)
    query = select(*columns).where(ended).order_by(jobs.c.at_ms, jobs.c.n)
    old = connection.execute(query.where(jobs.c.at_ms < before_ms).limit(BATCH)).all()
    if len(old) < many:
        old = connection.execute(query.limit(many)).all()
    return [(row[0], row[1], row[2], row[3]) for row in old]


def _delete(connection: Connection, found: Sequence[tuple[str, str, str, str]]) -> None:
    counts: dict[tuple[str, str, str], int] = {}
    for _, *key in found:
        counts[key[0], key[1], key[2]] = counts.get((key[0], key[1], key[2]), 0) - 1
    for some in chunks([row[0] for row in found]):
        connection.execute(delete(jobs).where(jobs.c.id.in_(some)))
        connection.execute(delete(attempts).where(attempts.c.job_id.in_(some)))
    rows = [
        {"queue": queue, "job_type": job_type, "state": state, "n": n}
        for (queue, job_type, state), n in counts.items()
    ]
    upsert(connection, tallies, rows, add=("n",))
    connection.execute(delete(tallies).where(tallies.c.n == 0))
