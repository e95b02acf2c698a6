"""jobstream inside Flask: an extension with the app, its answers, and app contexts for handlers.

    jobs = Jobstream(status="/jobs/<job_id>")
    jobs.init_app(web)          # web.config["JOBSTREAM_APP"] = "shop.jobs:app"

Needs the extra `flask`. A worker loads none of this, but for handlers that want an app context.
"""

from __future__ import annotations

import atexit
import inspect
import threading
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from jobstream.errors import ConfigError
from jobstream.services.accepted import ACCEPTED, accepted_body, accepted_headers
from jobstream.services.errors import ServiceNotStarted
from jobstream.services.job_status import JobStatus, status
from jobstream.services.logged_jobs import LoggedJobs
from jobstream.services.named_app import app_of
from jobstream.services.refusals import ANSWERED, refusal_of

try:
    from flask import Flask, Response, current_app, has_app_context, url_for
except ImportError as _error:
    _message = f"jobstream.flask needs the extra: pip install 'jobstream[flask]' ({_error})"
    raise ConfigError(_message) from _error

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.app import App
    from jobstream.enqueue.client import Client
    from jobstream.enqueue.enqueued import Enqueued
    from jobstream.services.job_status import JobLookup

__all__ = ["JobStatus", "Jobstream", "in_app_context"]

_Called = TypeVar("_Called", bound="Callable[..., Any]")
EXTENSION = "jobstream"
CONFIG = "JOBSTREAM_APP"
STATUS_ENDPOINT = "jobstream_job"


class Jobstream:
    """The extension. Make one beside the other extensions, and give it each Flask by `init_app`.

    `app` is the App, or where it is; without one, the config JOBSTREAM_APP of each Flask says it.
    With `status`, a rule such as "/jobs/<job_id>", the service shows how jobs stand. Nothing
    connects before the first enqueue, and each process has a client of its own: a fork, as by
    `gunicorn --preload`, may come before and after it.
    """

    def __init__(
        self, web: Flask | None = None, *, app: App | str | None = None, status: str | None = None
    ) -> None:
        self._given, self._status = app, status
        if web is not None:
            self.init_app(web)

    def init_app(self, web: Flask) -> None:
        """Give `web` its App, its answers to errors, and the status of jobs; connects to nothing.

        Errors: QueueFull 429 and a broker that is away 503, both with Retry-After; WrongArgs 422,
        JobTooLarge 413, EnqueueVetoed 403, MiddlewareFailed 500; each a problem document (RFC
        9457), and logged. At the exit of the process what is queued is sent, 5 s at most. Raises
        ConfigError for an App that is not there, and if `web` has a jobstream already.
        """
        if EXTENSION in web.extensions:
            message = f"{web!r} has a jobstream already: call init_app once"
            raise ConfigError(message)
        given = self._given if self._given is not None else web.config.get(CONFIG)
        app = app_of(given, f"config {CONFIG}" if self._given is None else "Jobstream(app=…)")
        database = web.config.get("JOBSTREAM_VIEWS_DATABASE")
        web.extensions[EXTENSION] = _InFlask(app, LoggedJobs(app, database))
        for kind in ANSWERED:
            web.register_error_handler(kind, _answer)
        if self._status is not None:
            web.add_url_rule(self._status, STATUS_ENDPOINT, _show_job)
        atexit.register(app.close)

    @property
    def app(self) -> App:
        """The App of the current Flask; raises ServiceNotStarted outside of a context."""
        return _here().app

    @property
    def client(self) -> Client:
        """The client of that App in this process."""
        return self.app.client

    def accepted(self, job: Enqueued | str) -> Response:
        """202 for a job that was enqueued, or its id; with the URL of its status if it has one."""
        job_id = job if isinstance(job, str) else job.job_id
        url = None
        if STATUS_ENDPOINT in current_app.view_functions:
            url = url_for(STATUS_ENDPOINT, job_id=job_id, _external=True)
        body, headers = accepted_body(job, url), dict(accepted_headers(url))
        return Response(body, ACCEPTED, headers, content_type="application/json")

    def status(self, job_id: str) -> JobStatus:
        """How the job of that whole id stands; reads the views or the log, which may take seconds.

        Raises NoSuch, SourceAway and TooBusy of `jobstream.answers.errors`, which have answers.
        """
        return status(_here().lookup, job_id)

    def look_in(self, web: Flask, lookup: JobLookup) -> None:
        """Let `web` look for jobs elsewhere: `MemoryLookup(jobs)` of `jobstream.testing`."""
        found = web.extensions.get(EXTENSION)
        if found is None:
            raise ServiceNotStarted(_NOT_GIVEN)
        found.lookup = lookup


_NOT_GIVEN = "this Flask was given no jobstream: call Jobstream().init_app(web)"


class _InFlask:
    """What one Flask has of it."""

    def __init__(self, app: App, lookup: JobLookup) -> None:
        self.app, self.lookup = app, lookup


def _here() -> _InFlask:
    if not has_app_context():
        message = (
            "jobstream is asked for outside of a Flask: do it in a request, or in a block "
            "`with web.app_context():`"
        )
        raise ServiceNotStarted(message)
    found = current_app.extensions.get(EXTENSION)
    if found is None:
        raise ServiceNotStarted(_NOT_GIVEN)
    return cast("_InFlask", found)


def _answer(error: Exception) -> Response:
    refused = refusal_of(error)
    return Response(refused.body, refused.status, dict(refused.headers))


def _show_job(job_id: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    return status(_here().lookup, job_id).document(), 200, {"Cache-Control": "no-store"}


def in_app_context(make: Callable[[], Flask]) -> Callable[[_Called], _Called]:
    """Run a handler in the app context of a Flask; between `@app.job` and the handler.

    `make` gives the Flask: your application factory, or `lambda: web`. It is called at the first
    job of each process that runs jobs, once. The context is a new one for each run, so teardown
    functions are called after each: a session of Flask-SQLAlchemy ends with its job. There is no
    request: `flask.request` raises in a handler.
    """
    once = _Once(make)

    def decorate(handler: _Called) -> _Called:
        if inspect.iscoroutinefunction(handler):

            @wraps(handler)
            async def run_on_loop(*given: Any) -> Any:  # noqa: ANN401 - whatever the handler takes
                with once.get().app_context():
                    return await handler(*given)

            return cast("_Called", run_on_loop)

        @wraps(handler)
        def run(*given: Any) -> Any:  # noqa: ANN401 - as above
            with once.get().app_context():
                return handler(*given)

        return cast("_Called", run)

    return decorate


class _Once:
    """Makes a Flask at first use."""

    def __init__(self, make: Callable[[], Flask]) -> None:
        if not callable(make) or isinstance(make, Flask):
            message = f"in_app_context({make!r}): give a function that returns your Flask"
            raise ConfigError(message)
        self._make = make
        self._lock = threading.Lock()
        self._made: Flask | None = None

    def get(self) -> Flask:
        """The Flask; raises ConfigError if `make` gives none."""
        with self._lock:
            if self._made is None:
                made = self._make()
                if not isinstance(made, Flask):
                    message = f"in_app_context: {self._make!r} gave {made!r:.80}, no Flask"
                    raise ConfigError(message)
                self._made = made
            return self._made
