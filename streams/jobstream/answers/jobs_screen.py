"""Jobs as they stand, by filter, the newest first, a page at a time."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from jobstream.answers.errors import NoSuch, NotFromViews, SourceAway
from jobstream.answers.jobs_answer import JobRow, JobsAnswer
from jobstream.answers.jobs_from_views import answers_fully, jobs_from_views
from jobstream.answers.moments import datetime_of
from jobstream.errors import ConfigError
from jobstream.operate.errors import NotThere
from jobstream.operate.job_list import jobs_now, require_types
from jobstream.operate.job_states import JobNow, Wanted
from jobstream.operate.process_answers import workers_here
from jobstream.operate.state_names import RUNNING, STATES

if TYPE_CHECKING:
    from jobstream.answers.app_site import Site
    from jobstream.answers.jobs_answer import JobsWanted
    from jobstream.operate.job_list import JobList
    from jobstream.operate.view import AppView

LIMIT = 50
LIMIT_MAX = 500
LOG_JOBS_MAX = 2_000
"""Jobs that one reading of the log keeps; pages go through these."""
LOG_RECORDS_MAX = 200_000
LOOK_MS = 3_600_000
"""How far back the log is read where nothing says since when."""
INT_MAX = 2**53
LAST_ID = "\U0010ffff"
"""Greater than any id."""


class _Place(NamedTuple):
    """Where a page begins."""

    at: datetime
    id: str
    is_of_log: bool
    """The page before came from the log; else it came from the views."""


def jobs(site: Site, wanted: JobsWanted, after: str = "", limit: int = LIMIT) -> JobsAnswer:
    """A page of the jobs that are wanted, from the views, else from the log.

    Blocks for 3 s at most while the views are asked, and some seconds while the log is read.

    Raises ConfigError for a bad filter or `after`, NoSuch for an unknown queue or type, SourceAway
    and TooBusy.
    """
    check_wanted(wanted)
    if not 1 <= limit <= LIMIT_MAX:
        message = f"limit={limit}: give 1 to {LIMIT_MAX}"
        raise ConfigError(message)
    place = _place_in(after)
    if place is not None and place.is_of_log:
        return _from_log(site, wanted, place, limit)
    # The same text as the views wrote it.
    cursor = after or None
    why = ""
    try:
        if answers_fully(wanted):
            return jobs_from_views(site, wanted, cursor, limit)
    except NotFromViews as error:
        why = error.why
    try:
        found = _from_log(site, wanted, place, limit)
    except SourceAway as away:
        if not why:
            raise
        try:
            old = jobs_from_views(site, wanted, cursor, limit, any_age=True)
        except NotFromViews:
            raise away from None
        return replace(old, as_of=replace(old.as_of, stale=f"{why}; and the log: {away}"))
    return replace(found, as_of=replace(found.as_of, why_log=why))


def _from_log(site: Site, wanted: JobsWanted, place: _Place | None, limit: int) -> JobsAnswer:
    held = site.kept.get(("jobs", wanted), lambda: _read(site, wanted))
    found, rows = held.value
    if place is not None:
        rows = [row for row in rows if (row.at, row.id) < (place.at, place.id)]
    page = rows[:limit]
    left = len(rows) - len(page)
    return JobsAnswer(
        as_of=held.as_of(),
        jobs=tuple(page),
        after=_after(page[-1]) if left else "",
        counts=dict(found.counts),
        since=datetime_of(found.since_ms),
        older=found.older,
        note="read from the log: args are not searched, and jobs that workers of other machines "
        "run are shown as waiting",
    )


def check_wanted(wanted: JobsWanted) -> None:
    """Raise ConfigError for a state that there is not."""
    if unknown := [state for state in wanted.states if state not in STATES]:
        message = f"state={unknown[0]!r:.100} is not a state: give one of {', '.join(STATES)}"
        raise ConfigError(message)


def _read(site: Site, wanted: JobsWanted) -> tuple[JobList, list[JobRow]]:
    since_ms = site.now_ms() - LOOK_MS
    if wanted.since is not None:
        since_ms = round(wanted.since.timestamp() * 1000)
    return read_jobs(site, wanted, since_ms, jobs_max=LOG_JOBS_MAX, records_max=LOG_RECORDS_MAX)


def read_jobs(
    site: Site, wanted: JobsWanted, since_ms: int, *, jobs_max: int, records_max: int
) -> tuple[JobList, list[JobRow]]:
    """The jobs that the log has since then, the newest first; blocks while it is read.

    At most so many jobs before `key` and `text` of the filter are looked at. Raises NoSuch for an
    unknown queue or type, SourceAway and TooBusy.
    """
    with site.readers.one() as view:
        try:
            queues = view.queues(wanted.queue)
            require_types(view, wanted.types)
        except NotThere as error:
            raise NoSuch(str(error)) from error
        found = jobs_now(
            view,
            queues,
            Wanted(jobs_max, since_ms, frozenset(wanted.states), wanted.types),
            _running(view, site.now_ms(), {each.name for each in queues}),
            most=records_max,
        )
    rows = [_row(job) for job in found.jobs if _meets(job, wanted)]
    return found, sorted(rows, key=lambda row: (row.at, row.id), reverse=True)


def _running(view: AppView, now_ms: int, queues: set[str]) -> list[JobNow]:
    return [
        JobNow(
            id=run["id"],
            job_type=run["job"],
            queue=run["queue"],
            state=RUNNING,
            at_ms=now_ms - round(run["seconds"] * 1_000),
            attempt=run["attempt"],
        )
        for answer in workers_here(view)
        for run in answer.get("runs") or []
        if run["queue"] in queues
    ]


def _meets(job: JobNow, wanted: JobsWanted) -> bool:
    if wanted.key is not None and job.key != wanted.key:
        return False
    if wanted.text is None:
        return True
    text = wanted.text.casefold()
    return text in job.id.casefold() or text in job.error.casefold()


def _row(job: JobNow) -> JobRow:
    return JobRow(
        id=job.id,
        type=job.job_type,
        queue=job.queue,
        state=job.state,
        at=datetime_of(job.at_ms),
        attempt=job.attempt,
        key=job.key,
        due_at=datetime_of(job.due_ms) if job.due_ms is not None else None,
        ahead=job.ahead,
        waits=job.waits,
        error=job.error,
        reason=job.reason,
        letter_closed=job.letter_closed,
    )


def _after(row: JobRow) -> str:
    told = json.dumps([row.at.timestamp(), row.id]).encode()
    return base64.urlsafe_b64encode(told).decode().rstrip("=")


def _place_in(after: str) -> _Place | None:
    if not after:
        return None
    try:
        padded = after + "=" * (-len(after) % 4)
        at, of = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if type(at) is int and type(of) is int and 0 <= at < INT_MAX and 0 <= of < INT_MAX:
            # From the log nothing of that moment is left out: some of it may come again.
            return _Place(datetime.fromtimestamp(at / 1000, UTC), LAST_ID, is_of_log=False)
        if isinstance(of, str):
            return _Place(datetime.fromtimestamp(at, UTC), of, is_of_log=True)
    except (ValueError, TypeError, OverflowError, OSError, RecursionError):
        pass
    message = f"after={after!r:.100} is no place in a list: give the one of the page before"
    raise ConfigError(message)
