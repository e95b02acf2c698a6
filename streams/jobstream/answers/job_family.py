"""The job that enqueued a job, and those that its own handler enqueued: the views alone know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.answers.as_of import AsOf
from jobstream.answers.errors import NotFromViews
from jobstream.answers.jobs_answer import JobRow
from jobstream.answers.jobs_from_views import job_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.answers.app_site import Site


@dataclass(frozen=True, slots=True)
class JobFamily:
    """Parent and children of a job, as far as who asks may see their queues."""

    as_of: AsOf
    parent: JobRow | None
    children: tuple[JobRow, ...]
    """The newest change first, 50 at most."""
    has_more: bool
    """There are more children."""


def job_family(site: Site, job_id: str, sees: Callable[[str], bool]) -> JobFamily | None:
    """By the whole id; None where the views do not serve or do not know it. Blocks for 3 s at most.

    `sees` says of a queue whether its jobs are shown.
    """
    try:
        found, told = site.read_side.ask(lambda views: views.job(job_id))
    except NotFromViews:
        return None
    if found is None:
        return None
    parent = found.parent
    return JobFamily(
        as_of=told,
        parent=job_row(parent) if parent is not None and sees(parent.queue) else None,
        children=tuple(job_row(each) for each in found.children.rows if sees(each.queue)),
        has_more=found.children.next is not None,
    )
