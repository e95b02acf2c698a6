"""Runs one job in a child process: decode its args, call its handler, say how it ended.

A job crosses to the child as the bytes of its event: no code of the args' class runs for it in the
worker, and in the child such code is under the job's time limit, as the handler is. Whatever user
code does on the way ends as an outcome.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import pickle
import time
from typing import TYPE_CHECKING, Any

from jobstream_processors.context import Context, RunFacts
from jobstream_processors.current import name_job
from jobstream_processors.execute.running import outcome_with, unread
from jobstream_processors.execute.user_errors import as_is, read
from jobstream_processors.hidden import Hidden
from jobstream_processors.job_types import takes_context
from jobstream_processors.resources import NO_RESOURCES
from jobstream_schemas import JobCodec, Reader

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.execute.crossing import HandedJob, Preparation
    from jobstream_processors.resources import Lifespan, Resources

    RunCoroutine = Callable[[Coroutine[Any, Any, Any]], Any]

log = logging.getLogger("jobstream.worker")


class Handler:
    """A handler and what it takes."""

    resources = NO_RESOURCES
    """What it shares with others of its app in this process."""

    def __init__(
        self,
        job: str,
        function: Callable[..., Any],
        codec: JobCodec[Any],
        lifespans: Sequence[Lifespan] = (),
    ) -> None:
        self.job = job
        self.function = function
        self.codec = codec
        self.lifespans = lifespans
        self.wants_context = takes_context(job, function)
        self.run_coroutine: RunCoroutine = asyncio.run

    def shares(self, resources: Resources, run_coroutine: RunCoroutine) -> None:
        """It has these, and its coroutines run on their loop."""
        self.resources, self.run_coroutine = resources, run_coroutine


class Route:
    """Runs jobs of one type whose events were written with one schema."""

    def __init__(self, handler: Handler, prepared: Preparation) -> None:
        self._handler = handler
        self._timeout_ms = prepared.timeout_ms
        self._reader = Reader(prepared.schema)

    def run(self, handed: HandedJob) -> Outcome:
        """Run the job to its end; blocks. To be called in a context of its own. Never raises."""
        handler, reader, codec = self._handler, self._reader, self._handler.codec
        reader.secret = handed.secret
        facts = self._facts(handed)
        name_job(facts)
        if handed.enter is not None:
            _enter(handed.enter, facts)
        clean = as_is
        try:
            args = reader.args(handed.value, handed.args_at, codec)
            if codec.secrets is not None:
                clean = Hidden(codec.secrets(args)).clean
        except BaseException as error:  # noqa: BLE001 - the edge of user code: nothing may pass
            return unread(error, secret=codec.secrets is not None or bool(reader.secret))
        try:
            given = (args, Context(facts, handler.resources)) if handler.wants_context else (args,)
            result = handler.function(*given)
            if result is not None and inspect.isawaitable(result):
                result = handler.run_coroutine(_awaited(result))
        except BaseException as error:  # noqa: BLE001 - the edge of user code: nothing may pass
            return read(error, clean)
        return outcome_with(result)

    def _facts(self, handed: HandedJob) -> RunFacts:
        return RunFacts(
            handed.job_id,
            self._handler.job,
            handed.queue,
            handed.redrive,
            handed.seq,
            handed.attempt,
            handed.enqueued_ms,
            time.time_ns() // 1_000_000 + self._timeout_ms,
            handed.fencing_token,
            handed.correlation_id,
            handed.source,
            handed.secret,
            handed.scheduled_ms,
            handed.headers,
        )


def _enter(enter: bytes, facts: RunFacts) -> None:
    """Tell tracing that the run begins; where it fails, the job goes on without its trace."""
    try:
        pickle.loads(enter)(facts)  # noqa: S301 - our own parent
    except BaseException:
        log.exception("tracing_failed")


async def _awaited(result: Awaitable[Any]) -> Any:  # noqa: ANN401 - whatever the handler returns
    return await result
