"""Looks for a job in the database of `jobstream views` where that is fresh, else in the log."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from jobstream.answers.app_site import Site
from jobstream.answers.errors import NoSuch
from jobstream.answers.job_screen import job, job_from_views
from jobstream.services.job_status import status_of

if TYPE_CHECKING:
    from jobstream.answers.job_screen import JobAnswer
    from jobstream.app import App
    from jobstream.services.job_status import JobStatus


class LoggedJobs:
    """The jobs of one app. Connects at the first question; safe in any thread and after a fork."""

    def __init__(self, app: App, database: str | None = None) -> None:
        """`database`: the URL of that of `jobstream views`, by default the file that it keeps."""
        self._app, self._database = app, database
        self._lock = threading.Lock()
        self._site: Site | None = None
        self._pid = 0

    def status(self, job_id: str) -> JobStatus:
        """As `JobLookup` says. A whole id is wanted, not the beginning of one."""
        found = self.answer(job_id)
        return status_of(found.id, found.type, found.state, found.attempt, ended=found.has_ended)

    def answer(self, job_id: str) -> JobAnswer:
        """All that is known of the job; blocks while the log is read, if the views lack it.

        The log is read from the time in the id on; of an id that was made from an idempotency key,
        all of it, a million records at most. Raises NoSuch, SourceAway and TooBusy.
        """
        site = self._here()
        found = job_from_views(site, job_id) or job(site, job_id)
        if found.id != job_id:
            message = f"no job has the id {job_id!r:.100}"
            raise NoSuch(message)
        return found

    def close(self) -> None:
        """Stop what it started; the app stays open."""
        with self._lock:
            site, self._site = self._site, None
        if site is not None and self._pid == os.getpid():
            site.look.close()
            site.ends.close()
            site.read_side.close()

    def _here(self) -> Site:
        """The site of this process: a consumer must not be used after a fork."""
        with self._lock:
            if self._site is None or self._pid != os.getpid():
                self._site, self._pid = Site.of(self._app, self._database), os.getpid()
            return self._site
