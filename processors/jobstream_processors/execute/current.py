"""Which job runs here: a context variable that executors set and that lines of a log are told by.

A context is copied into the tasks that a handler starts, so they are known as the job's, too.
Outside a job it holds None. It logs nothing itself and changes nothing about a job.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from jobstream_processors.context import RunFacts, named_by

if TYPE_CHECKING:
    from jobstream_processors.delivery import Delivery

CURRENT: ContextVar[Delivery | RunFacts | None] = ContextVar("jobstream_job", default=None)
"""The delivery in a worker, its facts in a child process."""
name_job = CURRENT.set
"""Called in the run's own context, or the name would stick to what runs there next."""


def job_fields() -> dict[str, Any]:
    """The fields that name the job running here, empty outside a job. Reads, never blocks."""
    here = CURRENT.get()
    return fields_of(here) if here is not None else {}


def secret_fields() -> frozenset[str]:
    """Names of the fields that the job type running here marks as secret; empty outside a job."""
    here = CURRENT.get()
    told = here if here is None or isinstance(here, RunFacts) else here.reader
    return frozenset(field for _, field in told.secret) if told is not None else frozenset()


def fields_of(run: Delivery | RunFacts) -> dict[str, Any]:
    """The fields that name a job in a line about it; those that are not known are left out."""
    if isinstance(run, RunFacts):
        return run.fields()
    given = run.meta.correlation_id if run.meta is not None else None
    carried = run.carried
    return named_by(
        run.id, _type_of(run), run.lane.queue, carried.attempt, carried.redrive, run.origin, given
    )


def _type_of(delivery: Delivery) -> str:
    if delivery.spec is not None:
        return delivery.spec.name
    return delivery.reader.job_type if delivery.reader is not None else ""
