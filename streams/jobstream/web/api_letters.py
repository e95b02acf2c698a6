"""The calls that close dead letters by filter, counted first, and those about operations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

from jobstream.acting import letter_acts
from jobstream.acting.expected import refuse_more
from jobstream.acting.letter_acts import LettersMeant, WouldClose
from jobstream.acting.letter_export import export_letters
from jobstream.acting.operations import OperationNow
from jobstream.answers.moments import ms_of
from jobstream.operate.filters import LetterFilter
from jobstream.operate.fix import Fixed
from jobstream.operate.trial import Trial
from jobstream.web.api_acts import by
from jobstream.web.api_reads import LettersAsked, scoped
from jobstream.web.api_route import ApiRoute, Call, Reply
from jobstream.web.callers import TokenRole
from jobstream.web.entry_check import require, require_whole
from jobstream.web.problems import Problem
from jobstream.web.request_parts import seconds_of
from jobstream_processors.background import aside

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

TRY_S_MAX = 60.0
JSON_LINES = "application/x-ndjson"
CHUNK_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class CloseBody:
    """Which open dead letters are meant."""

    ids: tuple[str, ...] = ()
    """Of their jobs."""
    fingerprints: tuple[str, ...] = ()
    """Of their cause, as `GET /dead-letters/groups` has it."""
    types: tuple[str, ...] = ()
    """Job types; `*` stands for any text."""
    error: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    queue: str | None = None
    everything: bool = False
    """Without any filter, every letter is meant."""
    limit: int | None = None
    """At most so many, the oldest first."""
    dry_run: bool = False
    """Count them, and change nothing."""
    expected: int | None = None
    """What the count was: with more by now, nothing is done."""
    rate: str | None = None
    """As in `50/s`; for a redrive."""
    force: bool = False
    """Redrive a cause although its last redrive failed."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class TryBody:
    """One letter of a cause is redriven, and the end of its job waited for."""

    fingerprint: str
    timeout: str = "30s"
    """At most `60s`."""
    queue: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class FixBody:
    """A corrected job takes the place of a dead one; `changes` has values of args by field."""

    id: str
    queue: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class OperationsAnswer:
    """The operations of this process, the newest first."""

    operations: tuple[OperationNow, ...]


async def _redrive(call: Call) -> Reply:
    body: CloseBody = call.body
    return await _close(
        call,
        lambda meant: letter_acts.redrive_letters(
            call.desk.site, call.desk.operations, by(call), meant, body.rate, force=body.force
        ),
    )


async def _discard(call: Call) -> Reply:
    body: CloseBody = call.body
    if body.rate is not None:
        message = "rate is for a redrive: leave it out"
        raise Problem(422, "wrong-body", message)
    if len(body.ids) != 1 or body.limit not in {None, 1}:
        require(call.caller, TokenRole.ADMIN)
    return await _close(
        call,
        lambda meant: letter_acts.discard_letters(
            call.desk.site, call.desk.operations, by(call), meant
        ),
    )


async def _close(call: Call, act: Callable[[LettersMeant], OperationNow]) -> Reply:
    body: CloseBody = call.body
    scoped(call, body.queue)
    if body.limit is not None and body.limit < 1:
        message = f"limit={body.limit}: give 1 or more, or leave it out"
        raise Problem(422, "wrong-body", message)
    meant = LettersMeant(
        LetterFilter(
            ids=body.ids,
            fingerprints=body.fingerprints,
            job_types=body.types,
            error=body.error,
            reason=body.reason,
            since_ms=ms_of(body.since),
            until_ms=ms_of(body.until),
        ),
        body.queue,
        body.limit,
        body.everything,
        body.expected,
    )
    if body.dry_run or body.expected is not None:
        found: WouldClose = await call.desk.ask(letter_acts.would_close, call.desk.site, meant)
        if body.dry_run:
            return Reply(found, 200)
        refuse_more("letters", found.count, body.expected)
    begun = await call.desk.ask(act, meant)
    return Reply(begun, 202, {"Location": call.link(f"/operations/{begun.id}")})


async def _try(call: Call) -> Trial:
    body: TryBody = call.body
    scoped(call, body.queue)
    seconds_of("timeout", body.timeout, TRY_S_MAX)
    return await call.desk.ask(
        letter_acts.try_cause, call.desk.site, by(call), body.fingerprint, body.timeout, body.queue
    )


async def _fix(call: Call) -> Fixed:
    body: FixBody = call.body
    scoped(call, body.queue)
    changes = call.loose.get("changes", {})
    return await call.desk.ask(
        letter_acts.fix_letter, call.desk.site, by(call), body.id, changes, body.queue
    )


async def _export(call: Call) -> Response:
    asked: LettersAsked = call.query
    scoped(call, asked.queue)
    meant = LettersMeant(asked.filter, asked.queue, everything=True)
    file = await call.desk.ask(export_letters, call.desk.site, by(call), meant)

    async def chunks() -> AsyncIterator[bytes]:
        try:
            while chunk := await aside("jobstream-web", file.read, CHUNK_BYTES):
                yield chunk
        finally:
            file.close()

    name = f'attachment; filename="{call.desk.site.name}-dead-letters.jsonl"'
    headers = {"Cache-Control": "no-store", "Content-Disposition": name}
    return StreamingResponse(chunks(), 200, headers, JSON_LINES)


async def _operations(call: Call) -> OperationsAnswer:
    require_whole(call.caller)
    return OperationsAnswer(call.desk.operations.list())


async def _operation(call: Call) -> OperationNow:
    require_whole(call.caller)
    return call.desk.operations.get(call.path("operation")).now()


async def _stop(call: Call) -> OperationNow:
    require_whole(call.caller)
    found = call.desk.operations.get(call.path("operation"))
    found.stop()
    return found.now()


LETTER_CALLS = (
    ApiRoute("POST", "/dead-letters/redrive", TokenRole.OPERATE,
             "Put the jobs of all dead letters that match back on their queues.", _redrive,
             body=CloseBody, answer=WouldClose | OperationNow, status=202,
             problems=(200, 404, 409, 413, 415), tag="dead letters"),
    ApiRoute("POST", "/dead-letters/discard", TokenRole.OPERATE,
             "Close all dead letters that match without running their jobs; more than those of "
             "one job need the role admin.", _discard, body=CloseBody,
             answer=WouldClose | OperationNow, status=202, problems=(200, 404, 409, 413, 415),
             tag="dead letters"),
    ApiRoute("POST", "/dead-letters/try", TokenRole.OPERATE,
             "Redrive one dead letter of a cause, and wait for how its job ends.", _try,
             body=TryBody, answer=Trial, problems=(404, 409), tag="dead letters", goes_on=True),
    ApiRoute("POST", "/dead-letters/fix", TokenRole.OPERATE,
             "Enqueue a corrected job in place of a dead one, and close its letter.", _fix,
             body=FixBody, loose=("changes",), answer=Fixed, problems=(404, 409),
             tag="dead letters"),
    ApiRoute("GET", "/dead-letters/export", TokenRole.ADMIN,
             "Open dead letters as lines of JSON, byte for byte, secrets included: what "
             "`jobstream dlq import` takes.", _export, query=LettersAsked, media_type=JSON_LINES,
             problems=(404,), tag="dead letters", goes_on=True),
    ApiRoute("GET", "/operations", TokenRole.READ, "The operations of this process.", _operations,
             answer=OperationsAnswer, tag="operations"),
    ApiRoute("GET", "/operations/{operation}", TokenRole.READ, "How far an operation is.",
             _operation, answer=OperationNow, problems=(404,), tag="operations"),
    ApiRoute("POST", "/operations/{operation}/stop", TokenRole.OPERATE,
             "Stop an operation after what it does now.", _stop, answer=OperationNow,
             problems=(404,), tag="operations"),
)  # fmt: skip
"""Calls that close dead letters, and those about operations."""
