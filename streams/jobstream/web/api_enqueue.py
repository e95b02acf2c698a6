"""The calls that enqueue: one job or many of a type, typed by the app's own classes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from jobstream.errors import ConfigError, EnqueuesFailed, JobTooLarge, WrongArgs
from jobstream.web.api_route import ApiRoute, Call, Reply
from jobstream.web.callers import TokenRole
from jobstream.web.entry_check import require_queue
from jobstream.web.problems import Problem, retry_after, shown
from jobstream.web.request_parts import read_body, shape_of
from jobstream_schemas import JsonMisfit

if TYPE_CHECKING:
    from jobstream.job import Job

MANY_MAX = 1_000
FAILURES_TOLD_MAX = 100
_KEY_HEADER = "idempotency-key"


@dataclass(frozen=True, slots=True)
class JobOptionsBody:
    """Everything of an enqueue but the args."""

    delay: str | None = None
    """As in `10m`."""
    run_at: datetime | None = None
    key: str | None = None
    """The order key."""
    idempotency_key: str | None = None
    expires_in: str | None = None
    correlation_id: str | None = None
    unique: bool | None = None
    """`false` lets this job go without the unique key of its type."""


@dataclass(frozen=True, slots=True)
class OneOfMany:
    """What each of many jobs may have of its own beside its args."""

    key: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class ManyOptionsBody:
    """What many jobs have in common."""

    delay: str | None = None


@dataclass(frozen=True, slots=True)
class EnqueuedAnswer:
    """An acknowledged job: it is in the log, which says nothing of whether it has run."""

    job_id: str
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class ManyEnqueuedAnswer:
    """Acknowledged jobs, in the order in which they were given."""

    job_ids: tuple[str, ...]


async def _one(call: Call) -> Reply:
    job = job_of(call, call.path("type"))
    body = _object(call.body, {"args", *_names(JobOptionsBody)}, "body")
    options: JobOptionsBody = read_body(JobOptionsBody, _without(body, "args"))
    if options.unique:
        message = "unique=true: give false, or leave it to the job type"
        raise Problem(422, "wrong-body", message)
    args = args_of(job, body.get("args", {}))
    done = await job.aenqueue(
        args,
        delay=options.delay,
        run_at=options.run_at,
        key=options.key,
        idempotency_key=_idempotency_key(call, options.idempotency_key),
        expires_in=options.expires_in,
        correlation_id=options.correlation_id,
        unique=None if options.unique is None else False,
    )
    call.request.state.about = done.job_id
    answer = EnqueuedAnswer(done.job_id, done.topic, done.partition, done.offset)
    return Reply(answer, headers={"Location": call.link(f"/jobs/{done.job_id}")})


async def _many(call: Call) -> ManyEnqueuedAnswer:
    job = job_of(call, call.path("type"))
    if _header(call) is not None:
        message = (
            "the header Idempotency-Key is the key of one job: leave it out, and give each of "
            "body.jobs an idempotency_key, so that the request may be repeated"
        )
        raise Problem(422, "refused", message)
    body = _object(call.body, {"jobs", *_names(ManyOptionsBody)}, "body")
    options: ManyOptionsBody = read_body(ManyOptionsBody, _without(body, "jobs"))
    given = body.get("jobs")
    if not isinstance(given, list) or not 1 <= len(given) <= MANY_MAX:
        message = f"body.jobs: give a list of 1 to {MANY_MAX} objects with args"
        raise Problem(422, "wrong-body", message)
    items = [_item(job, each, f"body.jobs[{index}]") for index, each in enumerate(given)]
    own = {id(args): item for args, item in items}
    has_keys = any(item.key is not None for _, item in items)
    has_ids = any(item.idempotency_key is not None for _, item in items)
    for _, item in items:
        if (has_keys and item.key is None) or (has_ids and item.idempotency_key is None):
            message = "body.jobs: give key, and idempotency_key, to all of the jobs or to none"
            raise Problem(422, "wrong-body", message)
    try:
        ids = await job.aenqueue_many(
            [args for args, _ in items],
            delay=options.delay,
            key=(lambda args: own[id(args)].key) if has_keys else None,  # type: ignore[arg-type,return-value] # all have one
            idempotency_key=(lambda args: own[id(args)].idempotency_key) if has_ids else None,  # type: ignore[arg-type,return-value] # as above
        )
    except EnqueuesFailed as error:
        raise _some_failed(error) from error
    call.request.state.about = f"{len(ids)} jobs from {ids[0]}"
    return ManyEnqueuedAnswer(tuple(ids))


def job_of(call: Call, job_type: str) -> Job[Any, Any]:
    """The job type of that name or alias; raises Problem, naming those there are."""
    site = call.desk.site
    if not site.has_code:
        message = (
            f"this server knows app {site.name!r} by its name alone, and so not what its jobs "
            "take: serve it with its code to enqueue: jobstream web MODULE:APP"
        )
        raise Problem(409, "no-code", message)
    found = site.app.jobs_by_name.get(job_type)
    if found is None:
        near = get_close_matches(job_type, site.app.jobs, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        there = ", ".join(sorted(site.app.jobs)) or "none"
        message = f"app {site.name!r} has no job type {job_type!r:.100}; {meant}it has: {there}"
        raise Problem(404, "not-there", message)
    require_queue(call.caller, found.queue.name)
    return found


def args_of(job: Job[Any, Any], value: object, where: str = "") -> Any:  # noqa: ANN401 - its args
    """The args that JSON values stand for; raises Problem naming every wrong field."""
    cls: type = job.codec.cls
    try:
        return shape_of(cls).from_json(value, cls.__name__)
    except JsonMisfit as misfit:
        text = f"{where}: {misfit}" if where else str(misfit)
        raise Problem(422, "wrong-args", text, may_be_written=False) from misfit


def _item(job: Job[Any, Any], given: object, where: str) -> tuple[Any, OneOfMany]:
    body = _object(given, {"args", *_names(OneOfMany)}, where)
    own: OneOfMany = read_body(OneOfMany, _without(body, "args"))
    args = args_of(job, body.get("args", {}), where)
    try:
        # Before any is sent: what is refused on the way would leave the jobs before it written.
        job.check(args, key=own.key, idempotency_key=own.idempotency_key)
    except (WrongArgs, JobTooLarge):
        pass  # Told with its index, beside what became of the others.
    except ConfigError as error:
        raise Problem(422, "refused", f"{where}: {error}") from error
    return args, own


def _object(value: object, known: set[str], where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Problem(422, "wrong-body", f"{where}: give an object with the field args")
    if unknown := sorted(value.keys() - known):
        there = ", ".join(sorted(known))
        message = f"{where} has no field {unknown[0]!r:.100}; there are: {there}"
        raise Problem(422, "wrong-body", message)
    return value


def _names(cls: type) -> set[str]:
    return {of.name for of in fields(cls)}


def _without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


def _idempotency_key(call: Call, in_body: str | None) -> str | None:
    in_header = _header(call)
    if in_header is not None and in_body is not None and in_header != in_body:
        message = "idempotency_key differs between the body and the header Idempotency-Key"
        raise Problem(422, "wrong-body", message)
    return in_header if in_body is None else in_body


def _header(call: Call) -> str | None:
    given = call.request.headers.getlist(_KEY_HEADER)
    if len(given) > 1:
        message = f"Idempotency-Key is there {len(given)} times: send it once"
        raise Problem(422, "refused", message)
    return given[0] if given else None


def _some_failed(error: EnqueuesFailed) -> Problem:
    told = {str(index): shown(each)[:300] for index, each in error.failures.items()}
    return Problem(
        503,
        "some-not-acknowledged",
        str(error),
        headers=retry_after(2),
        job_ids=error.ids,
        failures=dict(list(told.items())[:FAILURES_TOLD_MAX]),
        failed=error.failed,
        unknown=error.unknown,
        may_be_written=True,
    )


ENQUEUES = (
    ApiRoute("POST", "/types/{type}/jobs", TokenRole.ENQUEUE, "Enqueue one job of a type.", _one,
             takes_json=True, answer=EnqueuedAnswer, status=202,
             problems=(404, 409, 413, 415, 429), tag="enqueue"),
    ApiRoute("POST", "/types/{type}/jobs/many", TokenRole.ENQUEUE,
             "Enqueue up to 1,000 jobs of a type.", _many, takes_json=True,
             answer=ManyEnqueuedAnswer, status=202, problems=(404, 409, 413, 415, 429),
             tag="enqueue"),
)  # fmt: skip
"""Every call that enqueues."""
