"""Reports failures of jobs to Sentry, with what each run was about. Extra `sentry`.

Each run is in an isolation scope of its own, on the event loop, in threads and in child processes:
breadcrumbs and tags of one job never show up with another. What is an error is decided by the job
type's policy, not by an exception: see `install`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from jobstream.errors import ConfigError
from jobstream.surroundings import Middleware

try:
    import sentry_sdk
    from sentry_sdk.scope import add_global_event_processor, use_isolation_scope
except ImportError as missing:
    text = f"jobstream.sentry needs the extra: pip install 'jobstream[sentry]' ({missing})"
    raise ConfigError(text) from missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.app import App
    from jobstream_processors.context import Context
    from jobstream_processors.failure import Failure

Report = Literal["dead", "each"]
KEPT = "__jobstream_scope__"
"""The attribute of an exception that keeps the scope of the run that raised it."""
LEFT_OUT = "(left out: some fields of the job are secret)"
FLUSH_S = 2.0
DEAD = "job_dead"
WORKER_LOG = "jobstream.worker"


def install(app: App, *, report: Report = "dead") -> None:
    """Report failures of the app's jobs to the Sentry that `sentry_sdk.init` set up.

    `report="dead"`: one event for each job that has died, since a retry is no error yet; `"each"`:
    every failed run as well, those that are retried as warnings. Call it once, in the module of the
    app and before it enqueues; child processes do so by importing it. Without `init` nothing is
    sent. An event has the job's type, id, attempt, queue and place, the breadcrumbs of its run, and
    is grouped by the fingerprint of its dead letter. Where the type has secret fields, no local
    variables are sent, and no message but the one without them. Raises ConfigError.
    """
    if report not in ("dead", "each"):
        message = f"report={report!r}: choose 'dead' or 'each'"
        raise ConfigError(message)
    if any(isinstance(each, RunScopes) for each in app.middlewares):
        message = f"jobstream.sentry.install({app.name!r}) was called already; call it once"
        raise ConfigError(message)
    app.middleware(RunScopes(app))
    app.on_failure(Reporter(app, report))
    app.lifespan(_flushed)
    add_global_event_processor(_without_our_line)


class RunScopes(Middleware):
    """An isolation scope around each run."""

    def __init__(self, app: App) -> None:
        self._app = app

    def run(self, args: Any, ctx: Context) -> Iterator[None]:  # noqa: ANN401, ARG002 - of any job type
        """The handler's events and breadcrumbs belong to this job."""
        with sentry_sdk.isolation_scope() as scope:
            _describe(scope, self._app, _facts_of(ctx, ctx.name))
            scope.add_breadcrumb(
                category="job", message=f"{ctx.name} begins, attempt {ctx.attempt}", level="info"
            )
            try:
                yield
            except Exception as error:
                _keep(error, scope)
                raise


class Reporter:
    """What `App.on_failure` calls, in the worker."""

    def __init__(self, app: App, report: Report) -> None:
        self._app = app
        self._report = report

    def __call__(self, failure: Failure) -> None:
        """Send an event for the failure, if it is to be reported."""
        if failure.will_retry and self._report == "dead":
            return
        kept = getattr(failure.exception, KEPT, None)
        scope = kept if kept is not None else sentry_sdk.get_isolation_scope().fork()
        with use_isolation_scope(scope):
            if kept is None:
                _describe(scope, self._app, _facts_of(failure, failure.job))
            scope.set_level("warning" if failure.will_retry else "error")
            scope.fingerprint = ["jobstream", failure.fingerprint]
            scope.set_tag("job.fingerprint", failure.fingerprint)
            scope.set_tag("job.decision", failure.decision)
            if failure.reason:
                scope.set_tag("job.reason", failure.reason)
            scope.set_context("job_failure", _told(failure))
            if failure.exception is not None:
                hidden = _hides(self._app, failure.job)
                if hidden:
                    scope.add_event_processor(_with_message(failure.message))
                sentry_sdk.capture_exception(failure.exception)
            else:
                sentry_sdk.capture_event(_event_of(failure))


def _facts_of(run: Context | Failure, job_type: str) -> dict[str, Any]:
    return {
        "id": run.job_id,
        "type": job_type,
        "queue": run.queue,
        "attempt": run.attempt,
        "redrive": run.redrive,
        "correlation_id": run.correlation_id,
    }


def _told(failure: Failure) -> dict[str, Any]:
    return {
        "decision": failure.decision,
        "reason": failure.reason,
        "retry_in_ms": failure.retry_in_ms,
        "topic": failure.topic,
        "partition": failure.partition,
        "offset": failure.offset,
    }


def _describe(scope: sentry_sdk.Scope, app: App, facts: dict[str, Any]) -> None:
    scope.clear_breadcrumbs()
    scope.set_transaction_name(facts["type"] or "unknown job", source="task")
    scope.set_context("job", facts)
    scope.set_tag("app", app.name)
    for name in ("type", "queue", "attempt", "redrive"):
        scope.set_tag(f"job.{name}", str(facts[name]))
    scope.set_tag("job.id", facts["id"])
    release = app.settings.release
    if release:
        scope.add_event_processor(_of_release(release))
    if _hides(app, facts["type"]):
        scope.add_event_processor(_without_variables)


def _keep(error: Exception, scope: sentry_sdk.Scope) -> None:
    try:
        setattr(error, KEPT, scope.fork())
    except Exception:  # noqa: BLE001 - a class of user code, which may take no attribute
        return  # It is reported without its breadcrumbs.


def _hides(app: App, job_type: str) -> bool:
    job = app.jobs_by_name.get(job_type)
    return job is not None and job.codec.secrets is not None


# -- what is done to events


def _of_release(release: str) -> Any:  # noqa: ANN401 - an event processor, of the library's own types
    def processed(event: Any, _: dict[str, Any]) -> Any:  # noqa: ANN401 - as above
        event["release"] = release
        return event

    return processed


def _without_variables(event: Any, _: dict[str, Any]) -> Any:  # noqa: ANN401 - as above
    """Local variables of a handler may hold the secret fields of its args."""
    for value in event.get("exception", {}).get("values", ()):
        for frame in (value.get("stacktrace") or {}).get("frames", ()):
            frame.pop("vars", None)
    return event


def _with_message(message: str) -> Any:  # noqa: ANN401 - as above
    """The text of the last exception without secrets, and none of those behind it."""

    def processed(event: Any, _: dict[str, Any]) -> Any:  # noqa: ANN401 - as above
        values = event.get("exception", {}).get("values", ())
        for value in values:
            value["value"] = LEFT_OUT
        if values:
            values[-1]["value"] = message
        return event

    return processed


def _without_our_line(event: Any, _: dict[str, Any]) -> Any:  # noqa: ANN401 - as above
    """Sentry makes an event of each error in the log; the line of a death is reported already."""
    said = (event.get("logentry") or {}).get("message")
    return None if event.get("logger") == WORKER_LOG and said == DEAD else event


def _event_of(failure: Failure) -> Any:  # noqa: ANN401 - as above
    """Of a timeout, a crash, or a run in a child process: its text is all that there is."""
    module, _, name = failure.error.rpartition(".")
    mechanism = {"type": "jobstream", "handled": False}
    value = {"type": name, "module": module, "value": failure.message, "mechanism": mechanism}
    extra = {"traceback": failure.traceback} if failure.traceback else {}
    return {"exception": {"values": [value]}, "extra": extra}


def _flushed() -> Iterator[None]:
    """Send what waits when the process leaves."""
    yield
    sentry_sdk.flush(FLUSH_S)
