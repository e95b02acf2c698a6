"""Jobs by filter, and one job with its life drawn over time."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jobstream.answers.job_family import job_family
from jobstream.answers.job_screen import JobAnswer, job
from jobstream.answers.jobs_answer import JobsWanted
from jobstream.answers.jobs_screen import jobs
from jobstream.answers.why_screen import short_why
from jobstream.operate.state_names import ENDED, STATES
from jobstream.web.api_reads import JobsQuery
from jobstream.web.entry_check import require_queue
from jobstream.web.pages.job_timeline import timeline
from jobstream.web.pages.page_route import Page
from jobstream.web.problems import Problem

if TYPE_CHECKING:
    from jobstream.answers.jobs_answer import JobsAnswer
    from jobstream.web.pages.page_route import PageCall

STEPS_FIRST = 100
ARGS_CHARS_MAX = 20_000
SINCE = ("5m", "1h", "6h", "24h", "7d")
"""Spans that the filter offers."""


async def show_jobs(call: PageCall) -> Page:
    """A page of jobs."""
    asked: JobsQuery = call.query(JobsQuery)
    if asked.queue is not None:
        require_queue(call.caller, asked.queue)
    elif call.caller.queues:
        if len(call.caller.queues) > 1:
            own = ", ".join(sorted(call.caller.queues))
            message = f"token {call.caller.name!r} is for {own} alone: choose one of them"
            raise Problem(403, "queue", message)
        asked = _of_queue(asked, next(iter(call.caller.queues)))
    wanted = JobsWanted(
        asked.state, asked.type, asked.queue, asked.key, asked.since, asked.text or None
    )
    found: JobsAnswer = await call.ask(jobs, wanted, asked.after, asked.limit)
    values = {
        "found": found,
        "asked": asked,
        "since": call.request.query_params.get("since", ""),
        "spans": SINCE,
        "states": STATES,
        "ended_alone": any(each in ENDED for each in asked.state),
        "is_filtered": any((asked.state, asked.type, asked.queue, asked.key, asked.text)),
    }
    return Page("jobs.html", "Jobs", values, found.as_of, (found.note,) if found.note else ())


async def show_job(call: PageCall) -> Page:
    """One job."""
    found: JobAnswer = await call.ask(job, call.path("job_id"))
    require_queue(call.caller, found.queue)
    family = await call.ask(job_family, found.id, call.caller.sees)
    found = replace(found, family=family)
    now = datetime.fromtimestamp(call.desk.now_s(), UTC)
    why = "" if found.has_ended else await call.ask(short_why, found.id)
    values: dict[str, Any] = {
        "found": found,
        "why": why,
        "drawn": timeline(found.steps, now, has_ended=found.has_ended),
        "steps": found.steps[:STEPS_FIRST],
        "more_steps": found.steps[STEPS_FIRST:],
        "args": _pretty(found.args),
        "meta": {name: each for name, each in found.meta.items() if each not in {None, ""}},
        "last_error": _last_error(found),
    }
    title = f"Job {found.id}" if not found.type else f"{found.type} {found.id}"
    return Page("job.html", title[:200], values, found.as_of)


def _of_queue(asked: JobsQuery, queue: str) -> JobsQuery:
    return JobsQuery(
        asked.state, asked.type, queue, asked.key, asked.since, asked.text, asked.after, asked.limit
    )


def _pretty(args: Any) -> str:  # noqa: ANN401 - JSON
    """The args as indented JSON, cut; hidden characters are shown by the page itself."""
    if args is None:
        return ""
    text = json.dumps(args, indent=2, ensure_ascii=False, default=str)
    if len(text) <= ARGS_CHARS_MAX:
        return text
    return f"{text[:ARGS_CHARS_MAX]}\n… and {len(text) - ARGS_CHARS_MAX} characters more"


def _last_error(found: JobAnswer) -> dict[str, Any]:
    """What the last step says that tells of an error."""
    for step in reversed(found.steps):
        if step.detail.get("error") or step.detail.get("message"):
            return {**step.detail, "at": step.at}
    return {}
