"""jobstream inside FastAPI and Starlette: its lifespan, its jobs in a route, its answers.

    web = FastAPI(lifespan=lifespan(app))
    install(web)
    web.include_router(status_router())

Needs the extra `fastapi`; with Starlette alone, take `status_route` in place of `status_router`.
A worker loads none of this: point it at the module of the App.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from jobstream.errors import ConfigError
from jobstream.services.accepted import ACCEPTED, accepted_body, accepted_headers
from jobstream.services.errors import ServiceClosed, ServiceNotStarted
from jobstream.services.job_status import JobStatus, status
from jobstream.services.logged_jobs import LoggedJobs
from jobstream.services.named_app import app_of
from jobstream.services.refusals import ANSWERED, refusal_of
from jobstream_processors.background import aside

try:
    from starlette.requests import HTTPConnection, Request  # noqa: TC002 - FastAPI reads the types
    from starlette.responses import JSONResponse, Response
    from starlette.routing import NoMatchFound, Route
    from starlette.websockets import WebSocket, WebSocketState
except ImportError as _error:
    _message = f"jobstream.fastapi needs the extra: pip install 'jobstream[fastapi]' ({_error})"
    raise ConfigError(_message) from _error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from fastapi import APIRouter
    from starlette.applications import Starlette

    from jobstream.app import App
    from jobstream.enqueue.client import Client
    from jobstream.enqueue.enqueued import Enqueued
    from jobstream.services.job_status import JobLookup

    Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]

__all__ = [
    "JobStatus",
    "Jobs",
    "install",
    "jobs",
    "jobs_of",
    "jobs_with",
    "lifespan",
    "status_route",
    "status_router",
]

STATE = "jobstream"
_AGAIN, _FAILED = 1013, 1011
"""Codes that a WebSocket is closed with: to be tried again later, or an error."""
STATUS_NAME = "jobstream_job"
STATUS_PATH = "/jobs/{job_id}"


class Jobs:
    """What a route has of jobstream: the app, how a job stands, the answer 202.

    One for each request, by `Depends(jobs)`, or in Starlette by `await jobs(request)`.
    """

    def __init__(self, app: App, lookup: JobLookup, connection: HTTPConnection) -> None:
        self.app = app
        """The App. To enqueue, call a job type of it: `await send_receipt.aenqueue(...)`."""
        self._lookup, self._connection = lookup, connection

    @property
    def client(self) -> Client:
        """The client of the app, the same for every request of the process."""
        return self.app.client

    def accepted(self, job: Enqueued | str) -> Response:
        """202 for a job that was enqueued, or its id; with the URL of its status if it has one."""
        url = self.status_url(job if isinstance(job, str) else job.job_id)
        body, headers = accepted_body(job, url), accepted_headers(url)
        return Response(body, ACCEPTED, headers, "application/json")

    def status_url(self, job_id: str) -> str | None:
        """Where this service shows that job; None if it has no status route."""
        try:
            return str(self._connection.url_for(STATUS_NAME, job_id=job_id))
        except NoMatchFound:
            return None

    async def astatus(self, job_id: str) -> JobStatus:
        """How the job of that whole id stands; reads the views or the log, which may take seconds.

        Raises NoSuch, SourceAway and TooBusy of `jobstream.answers.errors`; `install` answers them.
        """
        return await aside("jobstream-service-look", status, self._lookup, job_id)

    def status(self, job_id: str) -> JobStatus:
        """As `astatus`, for a route that is no coroutine; blocks."""
        return status(self._lookup, job_id)


class _Service:
    """One app in a service, from its start to its shutdown."""

    def __init__(self, app: App, lookup: JobLookup) -> None:
        self.app, self.lookup = app, lookup
        self.is_closed = False


def lifespan(app: App | str, own: Lifespan | None = None, *, database: str | None = None) -> Any:  # noqa: ANN401 - FastAPI and Starlette each have a type for it
    """The lifespan of a service that enqueues jobs of `app`, an App or its `module:app`.

    At the start it makes the app's client, which connects by itself: a broker that is away keeps no
    service from starting. At the end it sends what is queued, 5 s at most, and disconnects. `own`
    is your lifespan: it begins after ours and ends before it, so it may enqueue, and what it yields
    stays in `request.state`. To serve two apps, give `lifespan` of the other one as `own`.
    `database` is the URL of that of `jobstream views`. Raises ConfigError at once for an `app` that
    is none.
    """
    found = app_of(app, "lifespan(app)")

    @asynccontextmanager
    async def run(web: Any) -> AsyncIterator[dict[str, Any]]:  # noqa: ANN401 - Starlette or FastAPI
        service = _Service(found, LoggedJobs(found, database))
        await aside("jobstream-service-open", lambda: found.client)
        try:
            if own is None:
                yield _with(service, {})
            else:
                async with own(web) as state:
                    yield _with(service, state or {})
        finally:
            service.is_closed = True
            service.lookup.close()
            await aside("jobstream-service-close", found.close)

    return run


def _with(service: _Service, state: Mapping[str, Any]) -> dict[str, Any]:
    return {**state, STATE: {**state.get(STATE, {}), service.app.name: service}}


async def jobs(connection: HTTPConnection) -> Jobs:
    """The `Jobs` of the service's only app: `Annotated[Jobs, Depends(jobs)]`.

    Raises ServiceNotStarted where the lifespan has not run, ServiceClosed after it ended, and
    ConfigError where the service has two apps.
    """
    return _jobs(connection, None)


@cache
def jobs_of(name: str) -> Callable[[HTTPConnection], Awaitable[Jobs]]:
    """The same for the app of that name, where a service has two: `Depends(jobs_of("shop"))`."""

    async def jobs_of_app(connection: HTTPConnection) -> Jobs:
        return _jobs(connection, name)

    return jobs_of_app


def jobs_with(app: App, lookup: JobLookup) -> Callable[[HTTPConnection], Awaitable[Jobs]]:
    """A dependency to put in the place of `jobs` in tests, which needs no lifespan.

    `web.dependency_overrides[jobs] = jobs_with(app, MemoryLookup(bound))`, where `bound` comes of
    `jobstream.testing.memory(app)`.
    """

    async def jobs_of_test(connection: HTTPConnection) -> Jobs:
        return Jobs(app, lookup, connection)

    return jobs_of_test


def _jobs(connection: HTTPConnection, name: str | None) -> Jobs:
    services = connection.scope.get("state", {}).get(STATE)
    if not services:
        message = (
            "jobstream is not started in this service: make it with lifespan=lifespan(app) of "
            "jobstream.fastapi, and in tests open the client by `with TestClient(web) as client:`, "
            "or override this dependency by jobs_with(...)"
        )
        raise ServiceNotStarted(message)
    if name is None and len(services) > 1:
        message = f"this service has the apps {', '.join(services)}: say which, by jobs_of(name)"
        raise ConfigError(message)
    service = services.get(name) if name is not None else next(iter(services.values()))
    if service is None:
        message = f"this service has no app {name!r}; it has: {', '.join(services)}"
        raise ConfigError(message)
    if service.is_closed:
        message = (
            f"the service has shut down, and app {service.app.name!r} with it: nothing was "
            "enqueued. Await what runs beside requests before the end of your own lifespan"
        )
        raise ServiceClosed(message)
    return Jobs(service.app, service.lookup, connection)


def install(web: Starlette) -> None:
    """Let `web` answer errors of enqueues and of looks at jobs as problem documents (RFC 9457).

    QueueFull 429 and a broker that is away 503, both with Retry-After; WrongArgs 422, JobTooLarge
    413, EnqueueVetoed 403, a job that is not there 404. Each is logged. ConfigError and
    MiddlewareFailed are bugs of the service: a 500. A WebSocket that is open is closed: with 1013
    where a repeat may help, else 1011.
    """
    for kind in ANSWERED:
        web.add_exception_handler(kind, _answer)


async def _answer(connection: Any, error: Exception) -> Any:  # noqa: ANN401 - Starlette has a type for each kind of connection
    refused = refusal_of(error)
    if (
        isinstance(connection, WebSocket)
        and connection.application_state is WebSocketState.CONNECTED
    ):
        await connection.close(_AGAIN if "Retry-After" in refused.headers else _FAILED)
        return None
    return Response(refused.body, refused.status, refused.headers)


def status_router(path: str = STATUS_PATH, *, app: str | None = None, **options: Any) -> APIRouter:  # noqa: ANN401 - what APIRouter takes
    """A router of FastAPI that shows a job by its id at `path`; `accepted` names it in Location.

    `options` are those of APIRouter: `dependencies=[Depends(...)]` says who may look. An id that is
    made from an idempotency key can be guessed by those who can guess the key. `app` names the app
    where a service has two. Raises ConfigError without FastAPI.
    """
    try:
        from fastapi import APIRouter, Depends  # noqa: PLC0415 - Starlette needs none
    except ImportError as error:
        message = f"status_router needs the extra: pip install 'jobstream[fastapi]' ({error})"
        raise ConfigError(message) from error
    router = APIRouter(**options)
    wanted = jobs if app is None else jobs_of(app)

    async def show_job(job_id: str, found: Any = Depends(wanted)) -> JSONResponse:  # noqa: ANN401, B008 - as FastAPI has it
        return await _shown(found, job_id)

    router.add_api_route(
        path, show_job, name=STATUS_NAME, response_class=JSONResponse, summary="Status of a job"
    )
    return router


def status_route(path: str = STATUS_PATH) -> Route:
    """The same as a route of Starlette; guard it by a middleware, or by one of its Mount."""

    async def show_job(request: Request) -> Response:
        return await _shown(await jobs(request), request.path_params["job_id"])

    return Route(path, show_job, name=STATUS_NAME)


async def _shown(found: Jobs, job_id: str) -> JSONResponse:
    shown = await found.astatus(job_id)
    return JSONResponse(shown.document(), headers={"Cache-Control": "no-store"})
