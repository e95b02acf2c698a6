"""The calls about one job, which wait for its end where they are asked to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from jobstream.answers.as_of import AsOf
from jobstream.answers.errors import NoSuch, TooBusy
from jobstream.answers.job_family import job_family
from jobstream.answers.job_screen import JobAnswer, job
from jobstream.answers.why_screen import WhyAnswer, why_of
from jobstream.web.api_route import ApiRoute, Call
from jobstream.web.callers import TokenRole
from jobstream.web.entry_check import require_queue

if TYPE_CHECKING:
    from jobstream.answers.job_ends import JobEnded

WAIT_S_MAX = 60.0
PEER_S = 1.0
"""How often it is seen whether who waits is still there."""


@dataclass(frozen=True, slots=True)
class JobQuery:
    """How long to wait for the end of the job."""

    wait: float = field(default=0.0, metadata={"most": WAIT_S_MAX})
    """As in `30s`, at most `60s`; the answer comes at its end, or after that time as it is."""


@dataclass(frozen=True, slots=True)
class JobEndAnswer:
    """Whether a job has ended, and how."""

    as_of: AsOf
    id: str
    type: str
    queue: str
    state: str
    has_ended: bool
    attempt: int


async def _job(call: Call) -> JobAnswer:
    found = await _own(call)
    desk = call.desk
    family = await desk.ask(job_family, desk.site, found.id, call.caller.sees)
    return replace(found, family=family)


async def _own(call: Call) -> JobAnswer:
    """The job, if its queue is the caller's business."""
    found = await _awaited(call, call.path("job_id"), call.query.wait)
    require_queue(call.caller, found.queue)
    return found


async def _end(call: Call) -> JobEndAnswer:
    found = await _own(call)
    return JobEndAnswer(
        found.as_of, found.id, found.type, found.queue, found.state, found.has_ended, found.attempt
    )


async def _awaited(call: Call, job_id: str, wait_s: float) -> JobAnswer:
    """The job, once it has ended or the time is over."""
    desk = call.desk
    if not wait_s:
        return await desk.ask(job, desk.site, job_id)
    if desk.waiters >= desk.options.waiters_max:
        message = f"{desk.waiters} requests wait for the end of jobs: ask again in a second"
        raise TooBusy(message)
    desk.waiters += 1
    try:
        return await _listening(call, job_id, wait_s)
    finally:
        desk.waiters -= 1


async def _listening(call: Call, job_id: str, wait_s: float) -> JobAnswer:
    loop, desk = asyncio.get_running_loop(), call.desk
    until_s = loop.time() + wait_s
    ended = asyncio.Event()

    def heard(end: JobEnded) -> None:
        if end.id == job_id:
            loop.call_soon_threadsafe(ended.set)

    stop = await desk.ask(desk.site.ends.listen, heard)
    try:
        found = await _looked(call, job_id)
        while not (found is not None and found.has_ended):
            left_s = until_s - loop.time()
            if left_s <= 0 or desk.closing.is_set() or await call.request.is_disconnected():
                break
            try:
                await asyncio.wait_for(ended.wait(), min(left_s, PEER_S))
            except TimeoutError:
                continue
            ended.clear()
            desk.site.kept.forget(("job", job_id))
            found = await _looked(call, job_id)
    finally:
        stop()
    if found is not None and found.has_ended:
        return found
    # What the thread missed, such as while a broker was away, stands in the log.
    desk.site.kept.forget(("job", job_id))
    return await desk.ask(job, desk.site, job_id)


async def _looked(call: Call, job_id: str) -> JobAnswer | None:
    """The job as it is; None while the log has none of that id."""
    try:
        return await call.desk.ask(job, call.desk.site, job_id)
    except NoSuch:
        return None


async def _why(call: Call) -> WhyAnswer:
    found: WhyAnswer = await call.desk.ask(why_of, call.desk.site, call.path("job_id"))
    require_queue(call.caller, found.queue)
    return found


WAITS = (
    ApiRoute("GET", "/jobs/{job_id}", TokenRole.READ,
             "One job with its timeline; with `wait`, once it has ended.", _job, query=JobQuery,
             answer=JobAnswer, problems=(404,), tag="jobs"),
    ApiRoute("GET", "/jobs/{job_id}/why", TokenRole.READ,
             "Why a job stands where it stands, in one sentence and in parts.", _why,
             answer=WhyAnswer, problems=(404,), tag="jobs"),
    ApiRoute("GET", "/jobs/{job_id}/end", TokenRole.ENQUEUE,
             "Whether a job has ended, and how; with `wait`, once it has.", _end, query=JobQuery,
             answer=JobEndAnswer, problems=(404,), tag="enqueue"),
)  # fmt: skip
"""Calls about one job."""
