"""Deletes marks of the inbox that no delivery can ask for any more.

A job that is not settled comes back for as long as its queue keeps it, and after that on the delay
ladder for at most the dedup window. So marks live for both together, longer than rows of the dedup
table do: those are of jobs that are settled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select, tuple_

from jobstream.errors import ConfigError
from jobstream.sql.database_clock import now_ms_once
from jobstream.sql.handles import naming_the_remedy
from jobstream.sql.opening import writing
from jobstream.sql.schema import inbox, inbox_owners
from jobstream_processors.core.duration import to_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Delete, Engine

    from jobstream.app import App
    from jobstream_processors.core.duration import Duration

ROWS_MAX = 5_000
"""Deleted in one transaction, so that none is long."""
ROUNDS_MAX = 20
"""Of one call; the rest waits for the next."""


def lives_ms(app: App, keep: Duration | None = None) -> dict[str, int]:
    """How long marks live, by queue topic: `keep`, else the retention and the dedup window.

    Raises ConfigError for a `keep` below a dedup window.
    """
    lives = {}
    for name, queue in app.queues.items():
        retention_ms = to_ms(queue.retention, name="retention")
        window_ms = to_ms(queue.dedup, name="dedup")
        life_ms = retention_ms + window_ms if keep is None else to_ms(keep, name="keep")
        if life_ms < window_ms:
            message = (
                f"keep={keep!r} is shorter than the dedup window of queue {name!r}, "
                f"{queue.dedup!r}: a job could have its effect twice"
            )
            raise ConfigError(message)
        lives[app.plan(queue).topic] = life_ms
    return lives


def sweep_inbox(engine: Engine, app: App, *, keep: Duration | None = None) -> int:
    """Delete marks that are too old to matter; returns how many. `jobstream relay` does it, too.

    For an app that runs no relay: call it about once an hour, from a scheduled job for instance.
    Deletes at most 100,000 in a call, in short transactions of its own. Raises ConfigError,
    TablesMissing and what the database raises.
    """
    return sweep(engine, lives_ms(app, keep))


def sweep(engine: Engine, lives: Mapping[str, int]) -> int:
    """The same for lives in milliseconds by queue topic."""
    swept = 0
    with naming_the_remedy():
        for topic, life_ms in lives.items():
            for _ in range(ROUNDS_MAX):
                with writing(engine) as connection:
                    deleted = connection.execute(old_marks(engine, topic, life_ms)).rowcount
                swept += deleted
                if deleted < ROWS_MAX:
                    break
            with writing(engine) as connection:
                # The next job of the partition writes its token again.
                old = inbox_owners.c.since_ms < now_ms_once() - life_ms
                connection.execute(delete(inbox_owners).where(inbox_owners.c.topic == topic, old))
    return swept


def old_marks(engine: Engine, topic: str, life_ms: int) -> Delete:
    """Deletes some marks of a topic that are too old, the oldest first; waits for no other sweep.

    One statement of both steps: a mark that it chose is the one that it deletes.
    """
    old = (
        select(inbox.c.job_id, inbox.c.step)
        .where(inbox.c.topic == topic, inbox.c.done_ms < now_ms_once() - life_ms)
        .order_by(inbox.c.done_ms)
        .limit(ROWS_MAX)
    )
    if engine.dialect.name == "postgresql":
        old = old.with_for_update(skip_locked=True)
    return delete(inbox).where(tuple_(inbox.c.job_id, inbox.c.step).in_(old))
