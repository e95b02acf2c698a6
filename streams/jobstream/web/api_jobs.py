"""The call that cancels jobs by filter, counted first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from jobstream.acting import job_acts
from jobstream.acting.expected import refuse_more
from jobstream.acting.job_acts import JobsMeant, WouldCancel
from jobstream.acting.operations import OperationNow
from jobstream.answers.jobs_answer import JobsWanted
from jobstream.web.api_acts import by
from jobstream.web.api_reads import scoped
from jobstream.web.api_route import ApiRoute, Call, Reply
from jobstream.web.callers import TokenRole


@dataclass(frozen=True, slots=True)
class CancelManyBody:
    """Which jobs that have not ended are meant."""

    states: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    """Job types; `*` stands for any text."""
    queue: str | None = None
    key: str | None = None
    """The order key."""
    since: datetime | None = None
    text: str | None = None
    everything: bool = False
    """Without any filter, every job that has not ended is meant."""
    dry_run: bool = False
    """Count them, and change nothing."""
    expected: int | None = None
    """What the count was: with more by now, nothing is done."""
    lasts: str | None = None
    """For how long each order is in force, as in `7d`."""
    why: str = ""


async def _cancel_many(call: Call) -> Reply:
    body: CancelManyBody = call.body
    scoped(call, body.queue)
    wanted = JobsWanted(body.states, body.types, body.queue, body.key, body.since, body.text)
    meant = JobsMeant(wanted, body.everything, body.expected)
    desk = call.desk
    if body.dry_run or body.expected is not None:
        found: WouldCancel = await desk.ask(job_acts.would_cancel, desk.site, meant)
        if body.dry_run:
            return Reply(found, 200)
        refuse_more("jobs", found.count, body.expected)
    begun: OperationNow = await desk.ask(
        job_acts.cancel_jobs, desk.site, desk.operations, by(call), meant, body.lasts
    )
    return Reply(begun, 202, {"Location": call.link(f"/operations/{begun.id}")})


JOB_CALLS = (
    ApiRoute("POST", "/jobs/cancel-many", TokenRole.ADMIN,
             "Cancel all jobs that match and have not ended.", _cancel_many, body=CancelManyBody,
             answer=WouldCancel | OperationNow, status=202, problems=(200, 404, 409, 413, 415),
             tag="jobs"),
)  # fmt: skip
"""Calls about many jobs."""
