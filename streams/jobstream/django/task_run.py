"""Runs one task of Django in a worker: finds its function, calls it, and sends Django's signals."""

from __future__ import annotations

import json
import logging
import os
import platform
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from django.utils import timezone
from django.utils.module_loading import import_string

from jobstream.django.tasks_api import base, signals, tasks
from jobstream_processors.context import Context  # noqa: TC001 - handlers are read by it

if TYPE_CHECKING:
    from jobstream_processors.failure import Failure

log = logging.getLogger("jobstream.django")

UNKNOWN_WORKER = "unknown"
"""In place of the workers of earlier attempts: the log does not name them."""


@dataclass(frozen=True)
class TaskCall:
    """The args of a job that runs a task. Its fields are on the wire: add with a default only."""

    task: str
    """Where the Task is: its module and name."""
    args: str
    """A list as JSON."""
    kwargs: str
    """An object as JSON."""
    backend: str
    queue: str
    priority: int = 0
    run_after: str = ""
    """In ISO 8601; empty for none."""


class TaskNotFound(Exception):
    """A job names a task that this worker's code does not have.

    It is retried: during a deploy, a worker of the new version may take it.
    """


class TaskDied(Exception):
    """What Django's log of failed tasks shows: the last error of the task, as a text.

    The exception itself ended with its run, which may have been in another process.
    """


def task_at(path: str) -> Any:  # noqa: ANN401 - a Task
    """The Task of that path, imported; raises TaskNotFound."""
    try:
        found = import_string(path)
    except ImportError as error:
        message = f"no task {path!r} in this code: {error}"
        raise TaskNotFound(message) from error
    if not isinstance(found, base.Task):
        message = f"{path!r} is no task, but of type {type(found).__name__}: decorate it by @task"
        raise TaskNotFound(message)
    return found


def task_of(call: TaskCall) -> Any:  # noqa: ANN401 - a Task
    """The same with what it was enqueued with."""
    at = datetime.fromisoformat(call.run_after) if call.run_after else None
    return task_at(call.task).using(
        priority=call.priority, queue_name=call.queue, run_after=at, backend=call.backend
    )


def run_function(args: TaskCall, ctx: Context) -> None:
    """Run a task that is a plain function."""
    result = _begun(args, ctx)
    value = result.task.call(*_given(result), **result.kwargs)
    _succeeded(result, value)


async def run_coroutine(args: TaskCall, ctx: Context) -> None:
    """Run a task that is a coroutine function."""
    result = _begun(args, ctx)
    value = await result.task.acall(*_given(result), **result.kwargs)
    _succeeded(result, value)


def hear_of_deaths(failure: Failure) -> None:
    """Tell Django that a task failed for good."""
    backend = tasks.task_backends[failure.job.split(".")[1]]
    error = base.TaskError(
        exception_class_path=class_path(failure.error), traceback=failure.traceback
    )
    result = backend.get_result(failure.job_id)
    # Read from the log, which may not have the row of its end yet.
    changed = {
        "status": base.TaskResultStatus.FAILED,
        "finished_at": result.finished_at or timezone.now(),
        "worker_ids": [UNKNOWN_WORKER] * failure.attempt,
        "errors": [*result.errors[: failure.attempt - 1], error],
    }
    for name, value in changed.items():
        object.__setattr__(result, name, value)
    try:
        _raise(failure)
    except TaskDied:
        # Here, since receivers log the exception that is being handled.
        _send(signals.task_finished, type(backend), result)


def _raise(failure: Failure) -> NoReturn:
    message = f"{failure.error}: {failure.message}" if failure.message else failure.error
    raise TaskDied(message)


def class_path(error: str) -> str:
    """Where the class of an error is, as Django wants it; `error` may be the name of a built-in."""
    return error if "." in error else f"builtins.{error or 'Exception'}"


def _begun(call: TaskCall, ctx: Context) -> Any:  # noqa: ANN401 - a TaskResult
    task, now = task_of(call), timezone.now()
    ctx.logger.debug("task_began", extra={"task": call.task})
    backend = task.get_backend()
    result = backend.result_class(
        task=task,
        id=ctx.job_id,
        status=base.TaskResultStatus.RUNNING,
        enqueued_at=ctx.enqueued_at,
        started_at=now,
        finished_at=None,
        last_attempted_at=now,
        args=json.loads(call.args),
        kwargs=json.loads(call.kwargs),
        backend=call.backend,
        errors=[],
        worker_ids=[UNKNOWN_WORKER] * (ctx.attempt - 1) + [f"{platform.node()}:{os.getpid()}"],
    )
    _send(signals.task_started, type(backend), result)
    return result


def _given(result: Any) -> list[Any]:  # noqa: ANN401 - a TaskResult
    """The positional arguments, the context among them if the task takes one."""
    context = [base.TaskContext(task_result=result)] if result.task.takes_context else []
    return [*context, *result.args]


def _succeeded(result: Any, value: Any) -> None:  # noqa: ANN401 - a TaskResult, and what it returned
    object.__setattr__(result, "finished_at", timezone.now())
    object.__setattr__(result, "status", base.TaskResultStatus.SUCCESSFUL)
    result.keep_here(value)
    _send(signals.task_finished, type(result.task.get_backend()), result)


def _send(signal: Any, sender: type, result: Any) -> None:  # noqa: ANN401 - Django's own
    # What a receiver raises is in Django's log: a task must not fail, or run again, for it.
    signal.send_robust(sender, task_result=result)
