"""The App of the Django project in DJANGO_SETTINGS_MODULE, as commands name it.

`jobstream worker jobstream.django.project:app` is what `manage.py jobstream worker` runs. Importing
it sets Django up, and declares the job types of TASKS, also in a worker's child processes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import django
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

from jobstream.errors import ConfigError

if TYPE_CHECKING:
    from jobstream.app import App

VARIABLE = "DJANGO_SETTINGS_MODULE"


def _loaded() -> App:
    try:
        if not apps.ready:
            django.setup()
    except ImproperlyConfigured as error:
        if os.environ.get(VARIABLE):
            raise
        message = f"{VARIABLE} is not set: run it by manage.py, or set it to your settings"
        raise ConfigError(message) from error
    from jobstream.django.project_app import SETTING, project_app  # noqa: PLC0415 - after setup
    from jobstream.django.tasks_api import tasks  # noqa: PLC0415 - as above
    from jobstream.django.tasks_backend import TasksBackend  # noqa: PLC0415 - as above

    ours = [each for each in tasks.task_backends.all() if isinstance(each, TasksBackend)]
    found = {id(each.app): each.app for each in ours}
    if len(found) > 1:
        names = ", ".join(sorted(app.name for app in found.values()))
        message = f"TASKS has several apps ({names}): name one to the command, as MODULE:APP"
        raise ConfigError(message)
    if found:
        return next(iter(found.values()))
    from django.conf import settings  # noqa: PLC0415 - after setup

    if getattr(settings, SETTING, None) == f"{__name__}:app":
        message = f"{SETTING} names {__name__}:app, which is made of it: name your own module"
        raise ConfigError(message)
    return project_app()


app = _loaded()
"""With everything that TASKS declares."""
