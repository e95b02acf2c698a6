"""Every job that meets a filter, not a page of them: from the views, else from the log."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from jobstream.answers.errors import NotFromViews
from jobstream.answers.jobs_from_views import answers_fully, filter_of, job_row
from jobstream.answers.jobs_screen import check_wanted, read_jobs
from jobstream.operate.state_names import RUNNING

if TYPE_CHECKING:
    from jobstream.answers.app_site import Site
    from jobstream.answers.jobs_answer import JobRow, JobsWanted
    from jobstream.views.view_answers import RowPage, StoredJob
    from jobstream.views.views_reader import Views

PAGE = 500
RECORDS_MAX = 1_000_000
"""Records of the log that are looked at; some ten seconds' work."""


class Matching(NamedTuple):
    """The jobs, the newest first."""

    jobs: tuple[JobRow, ...]
    source: str
    older: int
    """Records that may still wait and were not looked at."""


def jobs_matching(site: Site, wanted: JobsWanted, most: int) -> Matching:
    """At most `most` jobs; blocks for 3 s for 500 from the views, some seconds from the log.

    Raises ConfigError, NoSuch for an unknown queue or type, SourceAway and TooBusy.
    """
    check_wanted(wanted)
    # A database knows no job that runs from one that waits.
    asked = replace(wanted, states=tuple(each for each in wanted.states if each != RUNNING))
    try:
        if asked.states and answers_fully(asked):
            return Matching(_from_views(site, asked, most), "views", 0)
    except NotFromViews:
        pass
    since_ms = round(wanted.since.timestamp() * 1000) if wanted.since is not None else 0
    # The key and the text are looked at after the jobs are counted off: all have to be read.
    jobs_max = most if wanted.key is None and wanted.text is None else RECORDS_MAX
    found, rows = read_jobs(site, wanted, since_ms, jobs_max=jobs_max, records_max=RECORDS_MAX)
    return Matching(tuple(rows[:most]), "log", found.older)


def _from_views(site: Site, wanted: JobsWanted, most: int) -> tuple[JobRow, ...]:
    rows: list[JobRow] = []
    after: str | None = None
    while len(rows) < most:

        def read(views: Views, after: str | None = after) -> RowPage[StoredJob]:
            return views.jobs(filter_of(views, wanted), after, PAGE)

        page, _ = site.read_side.ask(read)
        rows += [job_row(job) for job in page.rows]
        after = page.next
        if not after:
            break
    return tuple(rows[:most])
