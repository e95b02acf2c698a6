"""The statements of `once`: in PostgreSQL one round trip, in SQLite one after the other.

All of them are plain SQL, since they run on whatever connection the user holds. Every time in them
is the database's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.sql.database_clock import NOW_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

RENEWED_MS = 3_600_000
"""A mark that is older is made young by a run that finds it; so a busy job writes it once an hour.

A mark may be so much older than the last run of its job: who deletes old ones must add it.
"""
OWNER = """
    INSERT INTO jobstream_inbox_owners (topic, partition, fencing_token)
    SELECT CAST(:topic AS TEXT), CAST(:partition AS INTEGER), CAST(:token AS BIGINT)
    WHERE NOT EXISTS (
        SELECT 1 FROM jobstream_inbox_owners
        WHERE topic = :topic AND partition = :partition AND fencing_token >= :token
    )
    ON CONFLICT (topic, partition) DO UPDATE
    SET fencing_token = excluded.fencing_token, since_ms = excluded.since_ms
    WHERE jobstream_inbox_owners.fencing_token < excluded.fencing_token
"""
"""Written once per owner of a partition: no later job locks the row, or even touches it."""
HIGHEST = """
    SELECT fencing_token FROM jobstream_inbox_owners
    WHERE topic = :topic AND partition = :partition
"""
MARK = """
    INSERT INTO jobstream_inbox (job_id, step, topic, job_type)
    SELECT CAST(:job_id AS TEXT), CAST(:step AS TEXT), CAST(:topic AS TEXT), CAST(:type AS TEXT)
    WHERE NOT EXISTS (
        SELECT 1 FROM jobstream_inbox_owners
        WHERE topic = :topic AND partition = :partition AND fencing_token > :token
    )
    ON CONFLICT (job_id, step) DO NOTHING
    RETURNING job_id
"""


def statements(dialect: str) -> Sequence[str]:
    """What a block runs as it begins, in `postgresql` or `sqlite`."""
    now = NOW_MS[dialect]
    # A job that snoozes or is retried runs again and again, for longer than any mark is kept.
    renew = f"""
        UPDATE jobstream_inbox SET done_ms = {now}
        WHERE job_id = :job_id AND step = :step AND done_ms < {now} - {RENEWED_MS}
    """  # noqa: S608 - made of constants
    if dialect != "postgresql":
        # SQLite has no changes within a query, and no round trips either.
        return OWNER, HIGHEST, MARK, renew
    # What a part reads is as it was before the statement.
    return (
        f"""
        WITH owner AS ({OWNER} RETURNING 1), mark AS ({MARK}), renewed AS ({renew} RETURNING 1)
        SELECT (SELECT count(*) FROM mark), ({HIGHEST})
        """,  # noqa: S608 - made of the texts above
    )
