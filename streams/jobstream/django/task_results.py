"""Results of Django's tasks: read from the job's records, since jobstream keeps no results."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from jobstream.django.task_run import UNKNOWN_WORKER, TaskCall, TaskNotFound, class_path, task_of
from jobstream.django.tasks_api import base, exceptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.services.job_status import FoundJob, JobLookup, Stage

_NOTHING = object()
_STATUS: dict[Stage, str] = {
    "waiting": "READY", "running": "RUNNING", "done": "SUCCESSFUL", "failed": "FAILED"
}  # fmt: skip


class JobResult(base.TaskResult):  # type: ignore[misc] # Django has no types
    """The result of a task that runs as a job."""

    __slots__ = ("_here",)

    @property
    def return_value(self) -> Any:  # noqa: ANN401 - what the task returned
        """What the task returned, in the worker that ran it, in a receiver of `task_finished`.

        Anywhere else it raises ValueError for a task that succeeded, too: return values are not
        kept. Let the task write what others are to read.
        """
        if self.status != base.TaskResultStatus.SUCCESSFUL:
            return super().return_value
        value = getattr(self, "_here", _NOTHING)
        if value is _NOTHING:
            message = (
                f"task {self.id} succeeded, and jobstream keeps no return values: "
                "let the task write what it found to your database"
            )
            raise ValueError(message)
        return value

    def keep_here(self, value: Any) -> None:  # noqa: ANN401 - what the task returned
        """Let `return_value` give it in this process."""
        object.__setattr__(self, "_here", value)


class _Override:
    """Where results are looked for in tests; one for the process, as the broker in memory is."""

    lookup: JobLookup | None = None


def overriding() -> JobLookup | None:
    """The lookup of the `results_from` that is open."""
    return _Override.lookup


@contextmanager
def results_from(lookup: JobLookup) -> Iterator[None]:
    """Look for results in `lookup` inside the block, in place of Kafka's log. For tests.

    `with memory(app) as jobs, results_from(MemoryLookup(jobs)):`, both of `jobstream.testing`.
    """
    before, _Override.lookup = _Override.lookup, lookup
    try:
        yield
    finally:
        _Override.lookup = before


def result_of(found: FoundJob, alias: str) -> JobResult:
    """The result of the job; raises TaskResultDoesNotExist if it is none of that backend's tasks.

    Where the worker is of an attempt is known while it runs on this machine alone.
    """
    call = _call_of(found)
    if call is None or call.backend != alias:
        message = f"job {found.id} is no task of backend {alias!r}"
        raise exceptions.TaskResultDoesNotExist(message)
    try:
        task = task_of(call)
    except TaskNotFound as error:
        message = f"job {found.id}: {error}"
        raise exceptions.TaskResultDoesNotExist(message) from error
    last = found.failures[-1].at if found.failures else None
    return JobResult(
        task=task,
        id=found.id,
        status=base.TaskResultStatus(_STATUS[found.stage]),
        enqueued_at=found.enqueued_at,
        started_at=found.began_at,
        finished_at=found.ended_at,
        last_attempted_at=found.began_at or last or found.ended_at,
        args=json.loads(call.args),
        kwargs=json.loads(call.kwargs),
        backend=alias,
        errors=[
            base.TaskError(exception_class_path=class_path(run.error), traceback=run.traceback)
            for run in found.failures
        ],
        worker_ids=_workers(found),
    )


def _workers(found: FoundJob) -> list[str]:
    """As many as attempts began."""
    if found.stage == "running":
        return [UNKNOWN_WORKER] * (found.attempt - 1) + [found.runs_on]
    has_run = found.state in {"done", "dead"}
    return [UNKNOWN_WORKER] * max(0, found.attempt if has_run else found.attempt - 1)


def _call_of(found: FoundJob) -> TaskCall | None:
    if not found.type.startswith("django.") or found.args is None:
        return None
    names = {each.name for each in fields(TaskCall)}
    given = {name: value for name, value in found.args.items() if name in names}
    try:
        return TaskCall(**given)
    except TypeError:
        return None
