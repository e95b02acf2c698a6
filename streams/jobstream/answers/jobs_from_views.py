"""Jobs by filter, from the database of `jobstream views`: any age, and texts in their args."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from jobstream.answers.errors import NotFromViews
from jobstream.answers.jobs_answer import JobRow, JobsAnswer
from jobstream.answers.moments import datetime_of, ms_of
from jobstream.operate.state_names import RUNNING, STATES, WAITING
from jobstream_processors.core.known import DEAD

if TYPE_CHECKING:
    from jobstream.answers.app_site import Site
    from jobstream.answers.jobs_answer import JobsWanted
    from jobstream.views.view_answers import JobFilter, RowPage, StoredJob
    from jobstream.views.views_reader import Views

COUNT_MAX = 10_000
TEXT_CHARS_MAX = 1_000


def answers_fully(wanted: JobsWanted) -> bool:
    """Whether a database can answer that; what runs now only the workers tell, with the log."""
    texts = (*wanted.types, wanted.queue or "", wanted.key or "", wanted.text or "")
    is_plain = all(len(text) <= TEXT_CHARS_MAX and "\0" not in text for text in texts)
    return is_plain and RUNNING not in wanted.states


def jobs_from_views(
    site: Site, wanted: JobsWanted, after: str | None, limit: int, *, any_age: bool = False
) -> JobsAnswer:
    """A page; blocks for 3 s at most. `after` is one of the views.

    Raises NotFromViews where they do not serve, and where they know no such queue or type: the log
    knows whether there is one.
    """

    def read(views: Views) -> tuple[RowPage[StoredJob], dict[str, int], bool]:
        meant = filter_of(views, wanted)
        page = views.jobs(meant, after, limit)
        counts = {
            state: views.count(replace(meant, states=(state,)), COUNT_MAX)
            for state in STATES
            if state != RUNNING
        }
        told = {state: count.n for state, count in counts.items()}
        return page, told, all(count.exact for count in counts.values())

    (page, counts, exact), told = site.read_side.ask(read, any_age=any_age)
    note = "read from the views: jobs that run are counted as waiting"
    if not exact:
        note += ", and there may be more than the counts say"
    return JobsAnswer(
        as_of=told,
        jobs=_with_runs(site, tuple(job_row(job) for job in page.rows)),
        after=page.next or "",
        counts=counts,
        since=wanted.since,
        older=0,
        note=note,
    )


def filter_of(views: Views, wanted: JobsWanted) -> JobFilter:
    """The same as the views take it; raises NotFromViews where they know no such queue or type."""
    from jobstream.views.view_answers import JobFilter  # noqa: PLC0415 - with a database only

    types: tuple[str, ...] = ()
    if wanted.types or wanted.queue is not None:
        totals = views.totals()
        types = tuple(
            sorted({
                each.job_type
                for each in totals
                if any(fnmatchcase(each.job_type, pattern) for pattern in wanted.types)
            })
        )  # fmt: skip
        unknown_queue = wanted.queue is not None and all(
            each.queue != wanted.queue for each in totals
        )
        if unknown_queue or (wanted.types and not types):
            message = "the views know no job of that queue or type"
            raise NotFromViews(message, expected=False)
    return JobFilter(
        states=wanted.states,
        types=types,
        queues=(wanted.queue,) if wanted.queue is not None else (),
        text=wanted.text or "",
        key=wanted.key or "",
        since_ms=ms_of(wanted.since),
    )


def _with_runs(site: Site, rows: tuple[JobRow, ...]) -> tuple[JobRow, ...]:
    """The rows, where those that workers of this machine run say so."""
    if all(row.state != WAITING for row in rows):
        return rows
    runs = {
        run["id"]: run
        for answer in site.processes().value
        for run in answer.get("runs") or []
    }  # fmt: skip
    now_ms = site.now_ms()
    return tuple(
        replace(
            row,
            state=RUNNING,
            attempt=runs[row.id]["attempt"],
            at=datetime_of(now_ms - round(runs[row.id]["seconds"] * 1_000)),
        )
        if row.state == WAITING and row.id in runs
        else row
        for row in rows
    )


def job_row(job: StoredJob) -> JobRow:
    """One job of the views at a glance."""
    return JobRow(
        id=job.id,
        type=job.job_type,
        queue=job.queue,
        state=job.state,
        at=datetime_of(job.at_ms),
        attempt=job.attempts,
        key=job.key,
        due_at=datetime_of(job.due_ms) if job.due_ms is not None else None,
        ahead=None,
        waits=job.waits,
        error=" at ".join(text for text in (job.error, job.frame) if text),
        reason=job.reason,
        letter_closed=job.state == DEAD and not job.letter_open,
    )
