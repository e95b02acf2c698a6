"""Deletes marks of the inbox that no delivery can ask for any more.

A job may run for months, as each retry and each snooze is a new copy in the log. But a run that
finds its mark renews it, so a mark must outlive one wait, from a run to the next: on the delay
ladder, which cuts it to the dedup window but keeps a job for longer where nothing moves it on, and
then on the queue, for its retention. Jobs that a limit, a breaker or fairness postpones again and
again may wait for longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select, tuple_

from jobstream.errors import ConfigError
from jobstream.sql.database_clock import now_ms_once
from jobstream.sql.database_url import shown
from jobstream.sql.handles import naming_the_remedy
from jobstream.sql.inbox_statements import RENEWED_MS
from jobstream.sql.opening import writing
from jobstream.sql.schema import inbox, inbox_owners
from jobstream.topics.specs import RUNG_SLACK_MS, SEGMENTS
from jobstream_processors.core.duration import to_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Delete, Engine

    from jobstream.app import App
    from jobstream.job_queue import Queue
    from jobstream_processors.core.duration import Duration

ROWS_MAX = 5_000
"""Deleted in one transaction, so that none is long."""
ROUNDS_MAX = 20
"""Of one call; the rest waits for the next."""


def lives_ms(app: App, keep: Duration | None = None) -> dict[str, int]:
    """How long marks live, by queue topic: `keep`, else the longest wait between two runs of a job.

    Either counts from the last run that came to the mark. Raises ConfigError for a `keep` below a
    dedup window.
    """
    lives = {}
    for name, queue in app.queues.items():
        window_ms = queue.dedup_ms
        life_ms = _longest_wait_ms(queue) if keep is None else to_ms(keep, name="keep")
        if life_ms < window_ms:
            message = (
                f"keep={keep!r} is shorter than the dedup window of queue {name!r}, "
                f"{queue.dedup!r}: a job could have its effect twice"
            )
            raise ConfigError(message)
        lives[app.plan(queue).topic] = life_ms + RENEWED_MS
    return lives


def _longest_wait_ms(queue: Queue) -> int:
    """From one run of a job to the next, as long as the log has it and nothing postpones it."""
    kept_ms = queue.dedup_ms + RUNG_SLACK_MS + queue.retention_ms
    # Kafka deletes by segments, so a record may stay for a share longer than its topic says.
    return kept_ms + kept_ms // SEGMENTS


def sweep_inbox(engine: Engine, app: App, *, keep: Duration | None = None) -> int:
    """Delete marks that are too old to matter; returns how many. `jobstream relay` does it, too.

    For an app that runs no relay: call it about once an hour, from a scheduled job for instance.
    `keep` counts from the last run that came to a mark; by default it is the longest wait of a job
    from one run to the next. What is redriven or postponed for longer finds no mark.
    Deletes at most 100,000 in a call, in short transactions of its own. Raises ConfigError,
    TablesMissing and what the database raises.
    """
    return sweep(engine, lives_ms(app, keep))


def sweep(engine: Engine, lives: Mapping[str, int]) -> int:
    """The same for lives in milliseconds by queue topic."""
    swept = 0
    with naming_the_remedy(shown(engine.url)):
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
