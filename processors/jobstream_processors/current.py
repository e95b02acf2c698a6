"""Which job runs here: a context variable that executors set and that lines of a log are told by.

A context is copied into the tasks that a handler starts, so they are known as the job's, too.
Outside a job it holds None. It logs nothing itself and changes nothing about a job.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Protocol


class RunHere(Protocol):
    """A job that runs here: a delivery in a worker, its facts in a child process."""

    def fields(self) -> dict[str, Any]:
        """The fields that name it in a line about it; those that are not known are left out."""

    def secret_fields(self) -> frozenset[str]:
        """Names of the fields that its type marks as secret."""


CURRENT: ContextVar[RunHere | None] = ContextVar("jobstream_job", default=None)
name_job = CURRENT.set
"""Called in the run's own context, or the name would stick to what runs there next."""


def job_fields() -> dict[str, Any]:
    """The fields that name the job running here, empty outside a job. Reads, never blocks."""
    here = CURRENT.get()
    return here.fields() if here is not None else {}


def secret_fields() -> frozenset[str]:
    """Names of the fields that the job type running here marks as secret; empty outside a job."""
    here = CURRENT.get()
    return here.secret_fields() if here is not None else frozenset()
