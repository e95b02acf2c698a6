"""The calls that act: pause, cancel, redrive and so on. Each is in the audit with who and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobstream.acting import control_acts, schedule_acts
from jobstream.acting.act_record import ActedBy
from jobstream.answers.job_screen import job
from jobstream.control_listing import ControlEntry
from jobstream.web.api_route import ApiRoute, Call
from jobstream.web.callers import TokenRole
from jobstream.web.entry_check import require_queue, require_whole
from jobstream.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jobstream.answers.job_screen import JobAnswer


@dataclass(frozen=True, slots=True)
class WhyBody:
    """The reason of an act, kept in the audit."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class LastingBody:
    """The reason of an act, and for how long it is in force."""

    why: str = ""
    lasts: str | None = None
    """As in `30m` or `7d`; the default is that of the command line."""


@dataclass(frozen=True, slots=True)
class WorkerBody:
    """A worker, and the reason."""

    worker: str
    """`host:pid`, or `host:*` for all of a host."""
    why: str = ""
    lasts: str | None = None


@dataclass(frozen=True, slots=True)
class DrainBody:
    """A worker that is to leave, and the reason."""

    worker: str
    """`host:pid`, or `host:*` for all of a host; `*` alone is refused."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class BreakerBody:
    """A breaker, and how it is held."""

    name: str
    open: bool
    """Held open: no job of its types starts. Else held closed."""
    why: str = ""
    lasts: str | None = None


@dataclass(frozen=True, slots=True)
class LimitBody:
    """A limit and its numbers: `rate`, perhaps with `burst`, or `concurrency`."""

    name: str
    rate: str | None = None
    burst: int | None = None
    concurrency: int | None = None
    why: str = ""
    lasts: str | None = None


@dataclass(frozen=True, slots=True)
class NameBody:
    """What an act is about, and the reason."""

    name: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class CancelledAnswer:
    """The order to cancel a job, and where the job stood."""

    entry: ControlEntry
    state: str


@dataclass(frozen=True, slots=True)
class OrderedAnswer:
    """The number of an order to a schedule."""

    order: str


def by(call: Call) -> ActedBy:
    """Who acts; raises ConfigError for a reason that is too long."""
    client = call.request.client
    made = ActedBy(call.caller.name, client.host if client else "", "", call.correlation_id)
    return made.with_why(getattr(call.body, "why", ""))


async def _pause_queue(call: Call) -> ControlEntry:
    queue = call.path("queue")
    require_queue(call.caller, queue)
    return await call.desk.ask(
        control_acts.pause_queue, call.desk.site, by(call), queue, call.body.lasts
    )


async def _resume_queue(call: Call) -> None:
    queue = call.path("queue")
    require_queue(call.caller, queue)
    await call.desk.ask(control_acts.resume_queue, call.desk.site, by(call), queue)


async def _pause_type(call: Call) -> ControlEntry:
    _require_type(call, call.path("type"))
    return await call.desk.ask(
        control_acts.pause_type, call.desk.site, by(call), call.path("type"), call.body.lasts
    )


async def _resume_type(call: Call) -> None:
    _require_type(call, call.path("type"))
    await call.desk.ask(control_acts.resume_type, call.desk.site, by(call), call.path("type"))


async def _cancel(call: Call) -> CancelledAnswer:
    found: JobAnswer = await call.desk.ask(job, call.desk.site, call.path("job_id"))
    require_queue(call.caller, found.queue)
    if found.has_ended:
        message = f"job {found.id} is {found.state}: there is nothing to cancel"
        raise Problem(409, "ended", message, state=found.state)
    entry = await call.desk.ask(
        control_acts.cancel, call.desk.site, by(call), found.id, call.body.lasts
    )
    return CancelledAnswer(entry, found.state)


async def _uncancel(call: Call) -> None:
    if call.caller.queues:
        found = await call.desk.ask(job, call.desk.site, call.path("job_id"))
        require_queue(call.caller, found.queue)
    await call.desk.ask(control_acts.uncancel, call.desk.site, by(call), call.path("job_id"))


async def _quiet(call: Call) -> ControlEntry:
    require_whole(call.caller)
    body: WorkerBody = call.body
    return await call.desk.ask(
        control_acts.quiet, call.desk.site, by(call), body.worker, body.lasts
    )


async def _unquiet(call: Call) -> None:
    require_whole(call.caller)
    await call.desk.ask(control_acts.unquiet, call.desk.site, by(call), call.body.worker)


async def _drain(call: Call) -> ControlEntry:
    require_whole(call.caller)
    return await call.desk.ask(control_acts.drain, call.desk.site, by(call), call.body.worker)


async def _hold_breaker(call: Call) -> ControlEntry:
    require_whole(call.caller)
    body: BreakerBody = call.body

    def hold() -> ControlEntry:
        return control_acts.hold_breaker(
            call.desk.site, by(call), body.name, is_open=body.open, for_=body.lasts
        )

    return await call.desk.ask(hold)


async def _release_breaker(call: Call) -> None:
    require_whole(call.caller)
    await call.desk.ask(control_acts.release_breaker, call.desk.site, by(call), call.body.name)


async def _set_limit(call: Call) -> ControlEntry:
    body: LimitBody = call.body
    _require_type(call, body.name.partition("/")[0])

    def change() -> ControlEntry:
        return control_acts.set_limit(
            call.desk.site,
            by(call),
            body.name,
            rate=body.rate,
            burst=body.burst,
            concurrency=body.concurrency,
            for_=body.lasts,
        )

    return await call.desk.ask(change)


async def _release_limit(call: Call) -> None:
    _require_type(call, call.body.name.partition("/")[0])
    await call.desk.ask(control_acts.release_limit, call.desk.site, by(call), call.body.name)


async def _run_schedule(call: Call) -> OrderedAnswer:
    require_whole(call.caller)
    return OrderedAnswer(
        await call.desk.ask(
            schedule_acts.run_schedule, call.desk.site, by(call), call.path("schedule")
        )
    )


async def _pause_schedule(call: Call) -> None:
    require_whole(call.caller)
    name = call.path("schedule")
    await call.desk.ask(
        schedule_acts.pause_schedule, call.desk.site, by(call), name, call.body.lasts
    )


async def _resume_schedule(call: Call) -> None:
    require_whole(call.caller)
    await call.desk.ask(
        schedule_acts.resume_schedule, call.desk.site, by(call), call.path("schedule")
    )


def _require_type(call: Call, job_type: str) -> None:
    """A caller of some queues may act on types of these; the code alone knows which those are."""
    known = call.desk.site.app.jobs_by_name.get(job_type)
    if known is not None:
        require_queue(call.caller, known.queue.name)
    else:
        require_whole(call.caller)


def _act(
    path: str,
    summary: str,
    run: Callable[[Call], Awaitable[Any]],
    body: type,
    answer: type | None = None,
) -> ApiRoute:
    """A row of the table."""
    return ApiRoute(
        "POST",
        path,
        TokenRole.OPERATE,
        summary,
        run,
        body=body,
        answer=answer,
        status=204 if answer is None else 200,
        problems=(404, 409),
        tag=path.split("/")[1],
    )


ACTS = (
    _act("/queues/{queue}/pause", "Start no more jobs of a queue.", _pause_queue, LastingBody,
         ControlEntry),
    _act("/queues/{queue}/resume", "End the pause of a queue.", _resume_queue, WhyBody),
    _act("/types/{type}/pause", "Start no more jobs of a type.", _pause_type, LastingBody,
         ControlEntry),
    _act("/types/{type}/resume", "End the pause of a type.", _resume_type, WhyBody),
    _act("/jobs/{job_id}/cancel", "Cancel a job, wherever it is.", _cancel, LastingBody,
         CancelledAnswer),
    _act("/jobs/{job_id}/uncancel", "End the order to cancel a job.", _uncancel, WhyBody),
    _act("/workers/quiet", "Let a worker start no new jobs.", _quiet, WorkerBody, ControlEntry),
    _act("/workers/unquiet", "Let a worker start jobs again.", _unquiet, WorkerBody),
    _act("/workers/drain", "Let a worker drain and leave.", _drain, DrainBody, ControlEntry),
    _act("/breakers/hold", "Hold a breaker open or closed.", _hold_breaker, BreakerBody,
         ControlEntry),
    _act("/breakers/release", "Leave a breaker to the workers.", _release_breaker, NameBody),
    _act("/limits/set", "Give a limit other numbers.", _set_limit, LimitBody, ControlEntry),
    _act("/limits/release", "Leave a limit to the code.", _release_limit, NameBody),
    _act("/schedules/{schedule}/run", "Fire a schedule once, now.", _run_schedule, WhyBody,
         OrderedAnswer),
    _act("/schedules/{schedule}/pause", "Let a schedule fire no more.", _pause_schedule,
         LastingBody),
    _act("/schedules/{schedule}/resume", "End the pause of a schedule.", _resume_schedule, WhyBody),
)  # fmt: skip
"""Every call that is one act on one thing."""
