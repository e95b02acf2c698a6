"""jobstream inside Django: a backend of its Tasks, enqueues after a commit, a command of manage.py.

An app of Django: put "jobstream.django" into INSTALLED_APPS. Needs the extra `django`, which on
Python 3.11 brings Django 5.2 and django-tasks; from Django 6 on, Django's own Tasks are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobstream.django.on_commit import enqueue_on_commit
    from jobstream.django.request_side import JobRefusals, job_status
    from jobstream.django.task_results import results_from
    from jobstream.django.tasks_backend import TasksBackend

__all__ = ["JobRefusals", "TasksBackend", "enqueue_on_commit", "job_status", "results_from"]

_MODULES = {
    "JobRefusals": "request_side",
    "TasksBackend": "tasks_backend",
    "enqueue_on_commit": "on_commit",
    "job_status": "request_side",
    "results_from": "task_results",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what a module has
    """What is exported, loaded at first use: settings may not be there when Django imports this.

    Raises AttributeError for what is not there, and ConfigError without the extra.
    """
    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    try:
        module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"django", "django_tasks", "asgiref"}:
            raise
        from jobstream.errors import ConfigError  # noqa: PLC0415 - on failure only

        message = f"jobstream.django needs the extra: pip install 'jobstream[django]' ({error})"
        raise ConfigError(message) from error
    return getattr(module, name)
