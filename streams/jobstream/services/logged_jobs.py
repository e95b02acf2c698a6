"""Looks for a job in the database of `jobstream views` where that is fresh, else in the log."""

from __future__ import annotations

import os
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jobstream.answers.app_site import Site
from jobstream.answers.errors import NoSuch
from jobstream.answers.job_screen import job_from_log, job_from_views
from jobstream.services.job_status import FailedRun, FoundJob
from jobstream_processors.forked import tell_in_child

if TYPE_CHECKING:
    from jobstream.answers.job_screen import JobAnswer
    from jobstream.app import App

VARIABLE = "JOBSTREAM_VIEWS_DATABASE"


class LoggedJobs:
    """The jobs of one app. Connects at the first question; safe in any thread and after a fork."""

    def __init__(self, app: App, database: str | None = None) -> None:
        """`database` is the URL of that of `jobstream views`.

        By default that of JOBSTREAM_VIEWS_DATABASE, else the file that `jobstream views` keeps.
        """
        self._app, self._database = app, database or os.environ.get(VARIABLE)
        self.forked()
        tell_in_child(self)

    def forked(self) -> None:
        """In a forked child: the parent's consumers are the parent's, and must not be used.

        Nor are they destroyed there, whenever the garbage collector finds them (`forked.py`).
        """
        self._lock = threading.Lock()
        self._site: Site | None = None

    def found(self, job_id: str) -> FoundJob:
        """The job of that whole id; blocks while the log is read, if the views lack it.

        The log is read from the time in the id on; of an id that was made from an idempotency key,
        all of it, a million records at most. Raises NoSuch, SourceAway and TooBusy.
        """
        site = self._here()
        answer = job_from_views(site, job_id) or job_from_log(site, job_id)
        if answer.id != job_id:
            message = f"no job has the id {job_id!r:.100}"
            raise NoSuch(message)
        return _found(answer)

    def close(self) -> None:
        """Stop what it started; the app stays open."""
        with self._lock:
            site, self._site = self._site, None
        if site is not None:
            site.look.close()
            site.ends.close()
            site.read_side.close()

    def _here(self) -> Site:
        with self._lock:
            if self._site is None:
                self._site = Site.of(self._app, self._database)
            return self._site


def _found(answer: JobAnswer) -> FoundJob:
    enqueued = answer.meta.get("enqueued_at")
    first = answer.steps[0].at if answer.steps else None
    began = answer.as_of.at - timedelta(seconds=answer.runs_s) if answer.runs_s else None
    return FoundJob(
        id=answer.id,
        type=answer.type,
        state=answer.state,
        has_ended=answer.has_ended,
        attempt=answer.attempt,
        args=answer.args,
        enqueued_at=datetime.fromisoformat(enqueued) if enqueued else first,
        ended_at=answer.steps[-1].at if answer.has_ended and answer.steps else None,
        began_at=began,
        runs_on=answer.runs_on,
        failures=tuple(
            FailedRun(step.detail.get("error", ""), step.traceback, step.at)
            for step in answer.steps
            if step.traceback
        ),
    )
