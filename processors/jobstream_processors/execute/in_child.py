"""Runs one job in a child process: decode its args, call its handler, say how it ended.

A job crosses to the child as the bytes of its event: no code of the args' class runs for it in the
worker, and in the child such code is under the job's time limit, as the handler is. Whatever user
code does on the way ends as an outcome.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from jobstream_processors.context import Context
from jobstream_processors.current import name_job
from jobstream_processors.execute.running import outcome_with, unread
from jobstream_processors.execute.user_errors import as_is, read
from jobstream_processors.hidden import Hidden
from jobstream_processors.job_types import takes_context
from jobstream_schemas import JobCodec, Reader

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jobstream_processors.context import RunFacts
    from jobstream_processors.core.outcome import Outcome

log = logging.getLogger("jobstream.worker")


class HandedJob(NamedTuple):
    """A job for a child."""

    value: bytes
    args_at: int
    """Where its args begin."""
    fingerprint: bytes
    schema: dict[str, Any] | None
    """Its writer's; None where the child was handed it before."""
    facts: RunFacts
    enter: Callable[[RunFacts], object] | None
    """Called in the child, in the context of the run."""


class Handler:
    """A handler and what it takes."""

    def __init__(self, job: str, function: Callable[..., Any], codec: JobCodec[Any]) -> None:
        self.function = function
        self.codec = codec
        self.wants_context = takes_context(job, function)


class Readers:
    """The writers' schemas that this child was handed."""

    def __init__(self) -> None:
        self._readers: dict[bytes, Reader] = {}

    def of(self, handed: HandedJob) -> Reader:
        """Who reads that job."""
        reader = self._readers.get(handed.fingerprint)
        if reader is None:
            assert handed.schema is not None, "a schema comes with its first job"  # noqa: S101
            reader = self._readers[handed.fingerprint] = Reader(handed.schema)
        reader.secret = handed.facts.secret
        return reader


def run(handler: Handler, handed: HandedJob, reader: Reader) -> Outcome:
    """Run the job to its end; blocks. To be called in a context of its own. Never raises."""
    name_job(handed.facts)
    _enter(handed)
    clean, codec = as_is, handler.codec
    try:
        args = reader.args(handed.value, handed.args_at, codec)
        if codec.secrets is not None:
            clean = Hidden(codec.secrets(args)).clean
    except BaseException as error:  # noqa: BLE001 - the edge of user code: nothing may pass
        return unread(error, secret=codec.secrets is not None or bool(reader.secret))
    try:
        given = (args, Context(handed.facts)) if handler.wants_context else (args,)
        result = handler.function(*given)
        if inspect.isawaitable(result):
            result = asyncio.run(_awaited(result))
    except BaseException as error:  # noqa: BLE001 - the edge of user code: nothing may pass
        return read(error, clean)
    return outcome_with(result)


def _enter(handed: HandedJob) -> None:
    """Tell tracing that the run begins; where it fails, the job goes on without its trace."""
    if handed.enter is None:
        return
    try:
        handed.enter(handed.facts)
    except BaseException:
        log.exception("tracing_failed")


async def _awaited(result: Awaitable[Any]) -> Any:  # noqa: ANN401 - whatever the handler returns
    return await result
