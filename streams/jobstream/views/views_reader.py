"""Answers questions about an app's jobs from the tables of the read side.

`Views(url)` reads only, from any process, also while the projection writes and while it is down:
the answers then are old, and `freshness` says how old.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, tuple_

from jobstream.operate.history import HistoryEntry
from jobstream.views import job_queries
from jobstream.views.asking import asking, cursor_of, place_in
from jobstream.views.attempts import attempts_in
from jobstream.views.database import check_revision, opened
from jobstream.views.db_tables import attempts, jobs, tallies, unread
from jobstream.views.facts import facts_of
from jobstream.views.freshness import freshness
from jobstream.views.job_writing import done_entry, first_entry
from jobstream.views.owner import check_owner
from jobstream.views.stored_entries import acts, schedules, workers
from jobstream.views.stored_groups import groups
from jobstream.views.type_stats import types
from jobstream.views.view_answers import (
    Count,
    JobDetail,
    JobFilter,
    RowPage,
    StoredJob,
    Total,
    UnreadCount,
)

if TYPE_CHECKING:
    from typing import Self

    from sqlalchemy import Connection

    from jobstream.schedule_view import Schedule
    from jobstream.views.view_answers import Act, DeadGroup, Freshness, TypeStats, WorkerRow

TIMEOUT_S = 5.0
HISTORY_MAX = 500
"""Lines of a job's history that its attempts are told from."""
EVERYTHING = JobFilter()
COUNT_MAX = 100_000
UNREAD_MAX = 1_000


class Views:
    """The answers of one database. Any thread may use it.

    Every method blocks for at most `timeout_s` for each statement, raises TooSlow beyond, and
    DatabaseAway where the database does not answer. Made once, it is cheap to ask.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, app: str = "") -> None:
        """Connect to nothing yet; raises DatabaseRefused for a URL that can't be right.

        With `app`, tables of another app are refused at the first question.
        """
        self._app = app
        self._engine = opened(url, read_only=True, busy_s=timeout_s)
        self._timeout_s = timeout_s
        self._is_checked = False

    def close(self) -> None:
        """Give back the connections; a later question makes new ones."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Raise DatabaseOlder or DatabaseNewer where the tables are not of this version.

        DatabaseTaken where they are not of the app that was named.
        """
        check_revision(self._engine)
        if self._app:
            with asking(self._engine, self._timeout_s) as connection:
                check_owner(connection, self._app)
        self._is_checked = True

    def _ask(self) -> Any:  # noqa: ANN401 - the context manager of `asking`
        if not self._is_checked:
            self.check()
        return asking(self._engine, self._timeout_s)

    def freshness(self) -> Freshness:
        """How old the answers are, and what they may lack."""
        with self._ask() as connection:
            return freshness(connection, int(time.time() * 1000))

    def jobs(
        self, wanted: JobFilter = EVERYTHING, after: str | None = None, limit: int = 50
    ) -> RowPage[StoredJob]:
        """Jobs that the filter means, the newest change first; `limit` is cut to 500.

        `after` is `RowPage.next` of the page before; raises BadCursor for any other text.
        """
        with self._ask() as connection:
            return job_queries.find(connection, wanted, after, limit)

    def count(self, wanted: JobFilter = EVERYTHING, at_most: int = COUNT_MAX) -> Count:
        """How many jobs the filter means, as far as `at_most` of them tell."""
        with self._ask() as connection:
            return job_queries.count(connection, wanted, at_most)

    def job(self, job_id: str) -> JobDetail | None:
        """One job with its attempts, history, parent and children; None if it is not known."""
        with self._ask() as connection:
            found = connection.execute(
                select(*job_queries.COLUMNS, jobs.c.facts).where(jobs.c.id == job_id)
            ).first()
            if found is None:
                return None
            row = job_queries.job_row(found)
            entries = _plain_entries(found.facts) + _newest_entries(connection, job_id)
            entries.sort(key=lambda entry: (entry.at_ms, entry.place))
            parent = None
            if row.parent_id is not None:
                query = select(*job_queries.COLUMNS).where(jobs.c.id == row.parent_id)
                held = connection.execute(query).first()
                parent = job_queries.job_row(held) if held is not None else None
            return JobDetail(
                row=row,
                attempts=attempts_in(entries),
                parent=parent,
                events=_events(connection, job_id, found.facts, None, 100),
                children=job_queries.find(connection, JobFilter(parent=job_id), None, 50),
            )

    def events(
        self, job_id: str, after: str | None = None, limit: int = 100
    ) -> RowPage[HistoryEntry]:
        """Every record about the job, the oldest first; empty for a job that is not known."""
        with self._ask() as connection:
            facts = connection.execute(select(jobs.c.facts).where(jobs.c.id == job_id)).scalar()
            return _events(connection, job_id, facts, after, limit)

    def children(
        self, job_id: str, after: str | None = None, limit: int = 50
    ) -> RowPage[StoredJob]:
        """The jobs that its handler enqueued, the newest change first."""
        return self.jobs(JobFilter(parent=job_id), after, limit)

    def totals(self) -> tuple[Total, ...]:
        """How many jobs there are by queue, type and state."""
        with self._ask() as connection:
            query = select(tallies).where(tallies.c.n > 0)
            return tuple(
                Total(row.queue, row.job_type, row.state, row.n)
                for row in connection.execute(query)
            )

    def types(self, window_s: float = 3600.0) -> tuple[TypeStats, ...]:
        """How each job type went in the whole minutes of the window, up to `Freshness.as_of_ms`."""
        with self._ask() as connection:
            now = freshness(connection, int(time.time() * 1000))
            return types(connection, now.as_of_ms, window_s)

    def dead_groups(self) -> tuple[DeadGroup, ...]:
        """Open dead letters by cause, the most frequent first; at most 1,000 groups."""
        with self._ask() as connection:
            return groups(connection)

    def schedules(self) -> tuple[Schedule, ...]:
        """The app's schedules by name, as `jobstream schedules` shows them."""
        with self._ask() as connection:
            return schedules(connection, int(time.time() * 1000))

    def workers(self) -> tuple[WorkerRow, ...]:
        """Members of the app's consumer groups, as the projection saw them last."""
        with self._ask() as connection:
            return workers(connection, int(time.time() * 1000))

    def audit(self, after: str | None = None, limit: int = 50) -> RowPage[Act]:
        """What operators did, the newest first."""
        with self._ask() as connection:
            return acts(connection, after, max(1, min(limit, job_queries.LIMIT_MAX)))

    def unread(self) -> tuple[UnreadCount, ...]:
        """Records that could not be read, by partition; the most first, at most 1,000."""
        with self._ask() as connection:
            query = select(unread).order_by(unread.c.n.desc()).limit(UNREAD_MAX)
            return tuple(UnreadCount(**row._mapping) for row in connection.execute(query))  # noqa: SLF001 - the library's name


def _events(
    connection: Connection, job_id: str, facts: str | None, after: str | None, limit: int
) -> RowPage[HistoryEntry]:
    limit = max(1, min(limit, job_queries.LIMIT_MAX))
    place = place_in(after, int, str, int, int)
    order = (attempts.c.at_ms, attempts.c.topic, attempts.c.partition, attempts.c.offset)
    query = select(attempts).where(attempts.c.job_id == job_id)
    if place is not None:
        query = query.where(attempts.c.at_ms >= place[0], tuple_(*order) > tuple_(*place))
    rows = connection.execute(query.order_by(*order).limit(limit + 1))
    found = [_history_entry(row._mapping) for row in rows]  # noqa: SLF001 - the library's name
    plain = [
        entry
        for entry in (_plain_entries(facts) if facts else [])
        if place is None or (entry.at_ms, *entry.place) > place
    ]
    found = sorted([*found, *plain], key=lambda entry: (entry.at_ms, entry.place))
    shown, more = found[:limit], len(found) > limit
    cursor = cursor_of(shown[-1].at_ms, *shown[-1].place) if more else None
    return RowPage(tuple(shown), cursor)


def _newest_entries(connection: Connection, job_id: str) -> list[HistoryEntry]:
    query = select(attempts).where(attempts.c.job_id == job_id)
    rows = connection.execute(query.order_by(attempts.c.at_ms.desc()).limit(HISTORY_MAX))
    return [_history_entry(row._mapping) for row in rows]  # noqa: SLF001 - the library's name


def _plain_entries(text: str) -> list[HistoryEntry]:
    """What the job's row tells by itself: its first delivery, and that it is done."""
    facts = facts_of(text)
    found = []
    if facts.first:
        found.append(_history_entry(first_entry(facts.first, facts.origin[4])))
    if facts.done:
        found.append(_history_entry(done_entry(facts.done, "")))
    return found


def _history_entry(row: Any) -> HistoryEntry:  # noqa: ANN401 - a mapping
    place = row["topic"], row["partition"], row["offset"]
    detail = json.loads(row["detail"])
    return HistoryEntry(row["at_ms"], row["what"], row["queue"], place, detail, row["traceback"])
