"""The App of a Django project, by its settings, and how its jobs are looked for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from django.conf import settings

from jobstream.services.logged_jobs import LoggedJobs
from jobstream.services.named_app import app_of

if TYPE_CHECKING:
    from jobstream.app import App

SETTING = "JOBSTREAM_APP"
_lookups: dict[tuple[App, str | None], LoggedJobs] = {}
"""For the life of the process, as its apps are: a look holds its app."""
_lock = threading.Lock()


def project_app(given: Any = None, alias: str = "") -> App:  # noqa: ANN401 - whatever the setting holds
    """The App that a backend was given, else that of the setting JOBSTREAM_APP.

    Raises ConfigError that names the setting, its value and the fix.
    """
    if given is not None:
        return app_of(given, f"TASKS[{alias!r}]['OPTIONS']['APP']")
    return app_of(getattr(settings, SETTING, None), f"the setting {SETTING}")


def kept_jobs(app: App, database: str | None = None) -> LoggedJobs:
    """The look at the jobs of that App, one for the process."""
    with _lock:
        if (app, database) not in _lookups:
            _lookups[app, database] = LoggedJobs(app, database)
        return _lookups[app, database]
