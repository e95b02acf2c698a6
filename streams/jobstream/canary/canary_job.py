"""The built-in job type `_canary`: every worker runs it, on every queue it serves.

It does nothing, since what it proves is the way: enqueue, queue, worker, row. A worker that gets
none pays nothing for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from jobstream_processors.core.policy import Policy
from jobstream_processors.core.retry import Backoff
from jobstream_processors.job_types import ASYNC, JobSpec
from jobstream_schemas import JobCodec

CANARY = "_canary"
TIMEOUT_MS = 5_000
EVERY_QUEUE = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """Args of a canary job: where it comes from."""

    sent_by: str
    """Host and process id of the canary, shown with the job."""


@cache
def codec() -> JobCodec[Probe]:
    """The codec of canary jobs; made once."""
    return JobCodec(Probe, CANARY)


@cache
def spec() -> JobSpec:
    """How a worker runs canary jobs: on its loop, once; a failed one is not retried."""
    return JobSpec(
        name=CANARY,
        queue=EVERY_QUEUE,
        codec=codec(),
        policy=Policy(Backoff(attempts=1)),
        timeout_ms=TIMEOUT_MS,
        function=answer,
        executor=ASYNC,
        wants_context=False,
    )


async def answer(_args: Probe) -> None:
    """Do nothing: the row that says so is the answer."""
