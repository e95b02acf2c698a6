"""The job types of Django's tasks: for each of their queues and bands of priority, two.

A queue of jobstream has one priority, so a queue of Django is up to three: `mail`, `mail-high` for
priorities above 0, and `mail-low` for those below. Plain functions and coroutines run in different
executors, and so are different types.
"""

from __future__ import annotations

import inspect
import threading
from typing import TYPE_CHECKING, Any

from jobstream.django.task_run import TaskCall, hear_of_deaths, run_coroutine, run_function

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream.app import App
    from jobstream.django.tasks_options import TasksOptions
    from jobstream.job import Job

WEIGHTS = {"high": 16, "": 4, "low": 1}
"""Bands of priority, and their shares of a worker's slots while all have work."""
_declaring = threading.RLock()
"""Django makes a backend in each thread, and all declare on one App."""


def job_of(app: App, alias: str, task: Any, options: TasksOptions) -> Job[TaskCall, Any]:  # noqa: ANN401 - a Task
    """The job type that runs `task`, declared on the App if it is not yet; raises ConfigError."""
    is_async = inspect.iscoroutinefunction(task.func)
    return _declared(app, alias, task.queue_name, band_of(task.priority), options, is_async)


def declare_all(app: App, alias: str, queues: Iterable[str], options: TasksOptions) -> None:
    """Declare every job type of a backend, as its worker and its topics need them."""
    bands = WEIGHTS if options.has_priorities else {"": 1}
    for queue in sorted(queues):
        for band in bands:
            for is_async in (False, True):
                _declared(app, alias, queue, band, options, is_async)


def band_of(priority: int) -> str:
    """The band of a priority from -100 to 100."""
    return "high" if priority > 0 else "low" if priority < 0 else ""


def type_name(alias: str, queue: str, band: str, *, is_async: bool) -> str:
    """The name of the job type."""
    return ".".join(filter(None, ("django", alias, queue, band, "async" if is_async else "")))


def _declared(  # noqa: PLR0917 - of this module alone
    app: App,
    alias: str,
    queue: str,
    band: str,
    options: TasksOptions,
    is_async: bool,  # noqa: FBT001 - as above
) -> Job[TaskCall, Any]:
    name = type_name(alias, queue, band, is_async=is_async)
    with _declaring:
        known = app.jobs.get(name)
        if known is not None:
            return known
        called = f"{queue}-{band}" if band else queue
        weight = WEIGHTS[band] if options.has_priorities else 1
        on = app.queues.get(called) or app.queue(called, weight=weight)
        more: Any = {} if options.timeout is None else {"timeout": options.timeout}
        job = app.declare(name, TaskCall, queue=on, retry=options.retry, **more)
        job.handler(run_coroutine if is_async else run_function)
        app.on_dead(job=job)(hear_of_deaths)
        return job
