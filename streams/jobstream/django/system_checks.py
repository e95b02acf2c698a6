"""What `manage.py check` says of a project that uses jobstream. Nothing connects to a broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.core import checks

from jobstream.django.tasks_api import PACKAGE
from jobstream.errors import JobstreamError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.app import App

NO_APP = "jobstream.E001"
TWO_PACKAGES = "jobstream.W001"
SWITCHED_OFF = "jobstream.W002"
NOT_INSTALLED = "jobstream.W003"


def problems_of(backend: Any) -> Iterator[Any]:  # noqa: ANN401 - a TasksBackend, which calls this
    """Those of one backend of TASKS, as messages of Django's checks."""
    try:
        app: App = backend.app
    except (JobstreamError, ImportError) as error:
        hint = "JOBSTREAM_APP = 'shop.jobs:app', where shop/jobs.py has app = App('shop')"
        yield checks.Error(f"TASKS[{backend.alias!r}]: {error}", hint=hint, id=NO_APP)
        return
    if not backend.queues:
        message = f"TASKS[{backend.alias!r}]['QUEUES'] is empty, and each queue has topics"
        yield checks.Error(message, hint="name each queue", id=NO_APP)
    if not app.settings.django:
        message = f"app {app.name!r} runs jobs outside of Django's requests (django=False)"
        hint = "call close_old_connections() in your tasks, or leave JOBSTREAM_DJANGO on"
        yield checks.Warning(message, hint=hint, id=SWITCHED_OFF)
    if not apps.is_installed("jobstream.django"):
        hint = "add 'jobstream.django' to INSTALLED_APPS"
        message = "manage.py has no command jobstream, and no worker loads these tasks"
        yield checks.Warning(message, hint=hint, id=NOT_INSTALLED)


def two_packages(**_: Any) -> list[Any]:  # noqa: ANN401 - Django's signature
    """Warn where tasks may be made by a package whose tasks this backend does not take."""
    if PACKAGE == "django_tasks" or "django_tasks" not in settings.INSTALLED_APPS:
        return []
    message = "django_tasks is installed beside the Tasks of Django, whose tasks jobstream runs"
    hint = "import task from django.tasks, and take django_tasks out of INSTALLED_APPS"
    return [checks.Warning(message, hint=hint, id=TWO_PACKAGES)]
