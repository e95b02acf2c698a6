"""Django's Tasks: those of Django 6, or where it is older the backport django-tasks.

Both have the same names but for one error. Where both are installed, Django's own count.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

PACKAGE = "django.tasks" if find_spec("django.tasks") is not None else "django_tasks"
tasks: Any = import_module(PACKAGE)
base: Any = import_module(f"{PACKAGE}.base")
backends: Any = import_module(f"{PACKAGE}.backends.base")
exceptions: Any = import_module(f"{PACKAGE}.exceptions")
signals: Any = import_module(f"{PACKAGE}.signals")

InvalidTask: Any = getattr(exceptions, "InvalidTask", None) or exceptions.InvalidTaskError
InvalidBackend: Any = (
    getattr(exceptions, "InvalidTaskBackend", None) or exceptions.InvalidTaskBackendError
)
