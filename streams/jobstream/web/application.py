"""The ASGI application: its routes, and what holds for every request."""

from __future__ import annotations

import logging
import os
import re
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import uuid_utils
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router

from jobstream.answers.app_site import Site
from jobstream.answers.errors import AnswerError
from jobstream.web.api_acts import ACTS
from jobstream.web.api_enqueue import ENQUEUES
from jobstream.web.api_jobs import JOB_CALLS
from jobstream.web.api_letters import LETTER_CALLS
from jobstream.web.api_reads import READS
from jobstream.web.api_route import V1
from jobstream.web.api_wait import WAITS
from jobstream.web.desk import Desk
from jobstream.web.documents import as_json
from jobstream.web.entry_check import admit, prepare
from jobstream.web.event_stream import EVENTS
from jobstream.web.openapi import description
from jobstream.web.pages import routes as page_routes
from jobstream.web.problems import Problem
from jobstream.web.request_meter import NO_ROUTE
from jobstream.web.route_run import answer_to, endpoint_of
from jobstream.web.tokens import TokenFile
from jobstream.web.unknown_path import not_found_of, to_first_page
from jobstream.web.web_options import WebOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from jobstream.app import App
    from jobstream.web.api_route import ApiRoute

    Handler = Callable[[Request], Awaitable[Response]]

log = logging.getLogger("jobstream.web.access")

READY_WAIT_S = 3.0
_CORRELATION = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
SECURITY = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""Headers of every answer."""
ROUTES = (*READS, *WAITS, *ENQUEUES, *ACTS, *JOB_CALLS, *LETTER_CALLS, *EVENTS)
"""Every call of the API."""


def asgi(
    app: App | Site,
    *,
    tokens: Path | None = None,
    database: str | None = None,
    options: WebOptions | None = None,
) -> ASGIApp:
    """The application over HTTP of an app, to be served or mounted under a prefix.

    `tokens` is the file of tokens, by default `web-tokens.json` in the app's state folder, where
    `jobstream web token add` puts them. Without any token nobody is served, but with
    `options.open_to_loopback`. `database` is the URL of that of `jobstream views`, by default
    `JOBSTREAM_VIEWS_DATABASE` or the file that it keeps; a `Site` has its own. Raises
    DatabaseRefused for a URL that can't be right. Connects to nothing until the first request. A
    mounted application is told to stop by its own lifespan, or by `close` of the `Site` that it was
    given.
    """
    database = database or os.environ.get("JOBSTREAM_VIEWS_DATABASE")
    site = app if isinstance(app, Site) else Site.of(app, database)
    site.read_side.require()
    path = tokens if tokens is not None else token_path(site)
    return application(Desk(site, TokenFile(path), options or WebOptions()))


def token_path(site: Site) -> Path:
    """Where an app's tokens are kept, if nothing else is said."""
    return site.settings.state_dir / site.name / "web-tokens.json"


def application(desk: Desk, calls: tuple[ApiRoute, ...] = ROUTES) -> ASGIApp:
    """The same over a desk that was made before."""

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        yield
        desk.stop()
        await desk.ask(desk.close)

    api = Router(
        [
            *(
                Route(each.path, endpoint_of(desk, each), methods=[each.method], name=each.name)
                for each in calls
            ),
            Route("/openapi.json", _openapi_of(desk, calls), name="openapi"),
        ],
        redirect_slashes=False,
    )
    routes: list[BaseRoute] = [
        Mount(V1, api),
        Route("/healthz", _healthz),
        Route("/readyz", _readyz_of(desk)),
        *page_routes(desk),
    ]
    if prefix := desk.options.prefix:
        routes = [
            Route(prefix, to_first_page),
            Mount(prefix, Router(routes, redirect_slashes=False)),
        ]
    inner = Starlette(
        routes=routes, lifespan=lifespan, exception_handlers={HTTPException: not_found_of(desk)}
    )
    inner.router.redirect_slashes = False
    return _Outer(inner, desk)


def _openapi_of(desk: Desk, calls: tuple[ApiRoute, ...]) -> Handler:
    """The description, for who is let in at all."""

    async def respond(request: Request) -> Response:
        request.state.route = "openapi"
        try:
            request.state.caller = admit(desk, request).name
            prefix = request.scope.get("root_path", "").removesuffix(V1)
            provided = desk.oidc is not None and desk.oidc.options.audience
            issuer = desk.oidc.options.issuer if desk.oidc is not None and provided else ""
            document = description(desk.site, calls, prefix, issuer)
        except Problem as error:
            return answer_to(error, request)
        return Response(as_json(document), media_type="application/json")

    return respond


def _readyz_of(desk: Desk) -> Handler:
    """Whether it answers with what is true: it has looked at the log a short time ago."""

    async def respond(_: Request) -> Response:
        try:
            told = await desk.ask(lambda: desk.site.look.now(READY_WAIT_S)[1])
        except AnswerError as error:
            return JSONResponse({"ok": False, "why": str(error)}, 503)
        return JSONResponse({"ok": not told.stale, "why": told.stale}, 503 if told.stale else 200)

    return respond


async def _healthz(_: Request) -> Response:
    return JSONResponse({"ok": True})


class _Outer:
    """Around every request: its correlation id, the headers of its answer, a line in the log."""

    def __init__(self, inner: ASGIApp, desk: Desk) -> None:
        self._inner = inner
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        began_s = time.monotonic()
        state = scope.setdefault("state", {})
        given = Request(scope).headers.get("x-request-id", "")
        known = _CORRELATION.fullmatch(given) is not None
        state["correlation_id"] = given if known else str(uuid_utils.uuid7())
        status = 0

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], (b"x-request-id", state["correlation_id"].encode())]
                there = {name for name, _ in headers}
                headers += [
                    (name.encode(), value.encode())
                    for name, value in SECURITY.items()
                    if name.encode() not in there
                ]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await prepare(self._desk, Request(scope))
            await self._inner(scope, receive, tell)
        finally:
            self._log(scope, state, status, time.monotonic() - began_s)

    def _log(self, scope: Scope, state: dict[str, Any], status: int, took_s: float) -> None:
        counted_s = None if state.get("goes_on") else took_s
        self._desk.meter.take(state.get("route", NO_ROUTE), status, counted_s)
        client = scope.get("client") or ("", 0)
        log.info(
            "request",
            extra={
                "correlation_id": state["correlation_id"],
                "method": scope["method"],
                "path": scope["path"][:300],
                "route": state.get("route", ""),
                "status": status,
                "ms": round(took_s * 1000, 1),
                "who": state.get("caller", ""),
                "about": state.get("about", ""),
                "from": client[0],
            },
        )
