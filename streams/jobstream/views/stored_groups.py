"""Open dead letters by cause, from the table of those that are open: as `jobstream dlq groups`."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from jobstream.views.db_tables import letters
from jobstream.views.view_answers import DeadGroup
from jobstream_processors.core.fingerprint import cause_of
from jobstream_processors.core.headers import Carried

if TYPE_CHECKING:
    from sqlalchemy import Connection

GROUPS_MAX = 1_000


def groups(connection: Connection) -> tuple[DeadGroup, ...]:
    """The largest first, at most 1,000."""
    c = letters.c
    query = select(
        c.fingerprint, c.release, func.count().label("n"),
        func.min(c.died_ms).label("first"), func.max(c.died_ms).label("last"),
    ).group_by(c.fingerprint, c.release)  # fmt: skip
    found: dict[str, list[Any]] = defaultdict(list)
    for part in connection.execute(query):
        found[part.fingerprint].append(part)
    order = sorted(found, key=lambda each: (-_count(found[each]), -_last(found[each]), each))
    return tuple(_group(connection, each, found[each]) for each in order[:GROUPS_MAX])


def _count(parts: list[Any]) -> int:
    return sum(int(part.n) for part in parts)


def _last(parts: list[Any]) -> int:
    return max(int(part.last) for part in parts)


def _group(connection: Connection, fingerprint: str, parts: list[Any]) -> DeadGroup:
    c, total = letters.c, _count(parts)
    query = select(letters).where(c.fingerprint == fingerprint, c.died_ms == _last(parts))
    newest = query.order_by(c.topic.desc(), c.partition.desc(), c.offset.desc()).limit(1)
    sample = connection.execute(newest).one()
    told = Carried(
        error=sample.error, message=sample.message, frame=sample.frame, reason=sample.reason
    )
    cause = cause_of(sample.job_type, told)
    return DeadGroup(
        fingerprint=fingerprint,
        job_type=sample.job_type,
        error=cause.error,
        reason=cause.reason,
        place=cause.place,
        pattern=cause.pattern,
        count=total,
        first_ms=min(part.first for part in parts),
        last_ms=sample.died_ms,
        sample_id=sample.job_id,
        releases={part.release: part.n / total for part in parts},
    )
