"""The calls that read: each is one screen's answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobstream.answers import jobs_screen, letters_screen
from jobstream.answers.audit_screen import AuditAnswer, audit
from jobstream.answers.causes_screen import LetterGroupsAnswer, letter_groups
from jobstream.answers.health_screen import HealthAnswer, health
from jobstream.answers.jobs_answer import JobsAnswer, JobsWanted
from jobstream.answers.jobs_screen import jobs
from jobstream.answers.letters_screen import LettersAnswer, letters
from jobstream.answers.limits_screen import LimitsAnswer, limits_and_breakers
from jobstream.answers.moments import ms_of
from jobstream.answers.overview import OverviewAnswer, overview
from jobstream.answers.queues_screen import QueueAnswer, QueuesAnswer, queue, queues
from jobstream.answers.schedules_screen import SchedulesAnswer, schedules
from jobstream.answers.types_screen import TypesAnswer, types
from jobstream.answers.workers_screen import WorkersAnswer, workers
from jobstream.operate.filters import LetterFilter
from jobstream.web.api_route import ApiRoute, Call
from jobstream.web.callers import TokenRole
from jobstream.web.entry_check import require_queue, require_whole
from jobstream.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class JobsQuery:
    """Which jobs are listed."""

    state: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    queue: str | None = None
    key: str | None = None
    since: datetime | None = None
    text: str | None = None
    after: str = ""
    limit: int = field(
        default=jobs_screen.LIMIT, metadata={"least": 1, "most": jobs_screen.LIMIT_MAX}
    )


@dataclass(frozen=True, slots=True)
class LettersAsked:
    """Which open dead letters are meant; without any filter, all of the app."""

    id: tuple[str, ...] = ()
    fingerprint: tuple[str, ...] = ()
    """Of their cause, as `GET /dead-letters/groups` has it."""
    type: tuple[str, ...] = ()
    error: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    queue: str | None = None

    @property
    def filter(self) -> LetterFilter:
        """The same as `operate` takes it."""
        return LetterFilter(
            ids=self.id,
            fingerprints=self.fingerprint,
            job_types=self.type,
            error=self.error,
            reason=self.reason,
            since_ms=ms_of(self.since),
            until_ms=ms_of(self.until),
        )


@dataclass(frozen=True, slots=True)
class LettersQuery(LettersAsked):
    """Which of them are listed."""

    after: str = ""
    limit: int = field(
        default=letters_screen.LIMIT, metadata={"least": 1, "most": letters_screen.LIMIT_MAX}
    )


@dataclass(frozen=True, slots=True)
class GroupsQuery:
    """Which groups are listed."""

    queue: str | None = None
    limit: int = field(
        default=letters_screen.LIMIT, metadata={"least": 1, "most": letters_screen.LIMIT_MAX}
    )


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """How many acts are listed."""

    limit: int = field(default=200, metadata={"least": 1, "most": 1_000})


def scoped(call: Call, queue_name: str | None) -> None:
    """Let a caller that may see some queues alone ask about those; raises Problem."""
    if queue_name is not None:
        require_queue(call.caller, queue_name)
    elif call.caller.queues:
        own = ", ".join(sorted(call.caller.queues))
        message = f"token {call.caller.name!r} is for {own} alone: give queue= with one of them"
        raise Problem(403, "queue", message)


def _of_app(answer: Callable[..., Any], *given: Any) -> Callable[[Call], Any]:  # noqa: ANN401
    """The call of an answer about the whole app."""

    async def run(call: Call) -> Any:  # noqa: ANN401 - the answer
        require_whole(call.caller)
        return await call.desk.ask(answer, call.desk.site, *given)

    return run


async def _health(call: Call) -> HealthAnswer:
    return await call.desk.ask(health, call.desk.site, call.desk.now_s())


async def _queues(call: Call) -> QueuesAnswer:
    found: QueuesAnswer = await call.desk.ask(queues, call.desk.site)
    rows = tuple(row for row in found.queues if call.caller.sees(row.name))
    return QueuesAnswer(found.as_of, rows, found.workers, found.delayers)


async def _queue(call: Call) -> QueueAnswer:
    require_queue(call.caller, call.path("queue"))
    return await call.desk.ask(queue, call.desk.site, call.path("queue"))


async def _jobs(call: Call) -> JobsAnswer:
    asked: JobsQuery = call.query
    scoped(call, asked.queue)
    wanted = JobsWanted(
        asked.state, asked.type, asked.queue, asked.key, asked.since, asked.text or None
    )
    return await call.desk.ask(jobs, call.desk.site, wanted, asked.after, asked.limit)


async def _letters(call: Call) -> LettersAnswer:
    asked: LettersQuery = call.query
    scoped(call, asked.queue)
    return await call.desk.ask(
        letters, call.desk.site, asked.filter, asked.queue, asked.after, asked.limit
    )


async def _groups(call: Call) -> LetterGroupsAnswer:
    asked: GroupsQuery = call.query
    scoped(call, asked.queue)
    return await call.desk.ask(letter_groups, call.desk.site, asked.queue, asked.limit)


async def _audit(call: Call) -> AuditAnswer:
    require_whole(call.caller)
    return await call.desk.ask(audit, call.desk.site, call.query.limit)


SEES = TokenRole.READ
READS = (
    ApiRoute("GET", "/overview", SEES, "Everything at a glance, late queues first.",
             _of_app(overview), answer=OverviewAnswer),
    ApiRoute("GET", "/queues", SEES, "Every queue, the latest first.", _queues,
             answer=QueuesAnswer, tag="queues"),
    ApiRoute("GET", "/queues/{queue}", SEES, "One queue with its rungs and partitions.",
             _queue, answer=QueueAnswer, problems=(404,), tag="queues"),
    ApiRoute("GET", "/jobs", SEES, "Jobs by filter, the newest first, a page at a time.",
             _jobs, query=JobsQuery, answer=JobsAnswer, problems=(404,), tag="jobs"),
    ApiRoute("GET", "/dead-letters", SEES, "Open dead letters by filter, the newest first.",
             _letters, query=LettersQuery, answer=LettersAnswer, problems=(404,),
             tag="dead letters"),
    ApiRoute("GET", "/dead-letters/groups", SEES, "Open dead letters by cause, the largest first.",
             _groups, query=GroupsQuery, answer=LetterGroupsAnswer, problems=(404,),
             tag="dead letters"),
    ApiRoute("GET", "/types", SEES, "Every job type.", _of_app(types), answer=TypesAnswer),
    ApiRoute("GET", "/schedules", SEES, "Every schedule.", _of_app(schedules),
             answer=SchedulesAnswer, tag="schedules"),
    ApiRoute("GET", "/limits", SEES, "Every limit and circuit breaker.",
             _of_app(limits_and_breakers), answer=LimitsAnswer, tag="limits"),
    ApiRoute("GET", "/workers", SEES, "The processes of this machine, and the groups.",
             _of_app(workers), answer=WorkersAnswer, tag="workers"),
    ApiRoute("GET", "/audit", SEES, "Who did what, when and why, the newest first.", _audit,
             query=AuditQuery, answer=AuditAnswer),
    ApiRoute("GET", "/health", SEES, "How each part is.", _health, answer=HealthAnswer),
)  # fmt: skip
"""Every call that reads."""
