"""What the router found wrong: no such path, or no such method; as a page for who reads pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from jobstream.web.api_route import V1
from jobstream.web.entry_check import admit
from jobstream.web.pages.page_serving import error_page
from jobstream.web.problems import Problem
from jobstream.web.route_run import answer_to

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from jobstream.web.callers import Caller
    from jobstream.web.desk import Desk

    Handler = Callable[[Request, Exception], Awaitable[Response]]


def not_found_of(desk: Desk) -> Handler:
    """The handler of what the router raises."""

    async def respond(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
        problem = _problem(request, error)
        if not _wants_page(request):
            return answer_to(problem, request)
        base, prefix = request.scope.get("root_path", ""), desk.options.prefix
        if not base.endswith(prefix):
            # Beside the prefix, where no page is: its links lead to those below it.
            request.scope["root_path"] = base + prefix
        return error_page(desk, request, problem, _known(desk, request))

    return respond


async def to_first_page(request: Request) -> Response:
    """From the prefix without its slash to the first page below it."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{request.url.path}/{query}", 307)


def _problem(request: Request, error: HTTPException) -> Problem:
    kind, message = "http", str(error.detail)
    if error.status_code == 404:  # noqa: PLR2004 - its name
        kind, message = "no-path", f"no path {request.url.path!r:.200}; {V1}/openapi.json has all"
        if _wants_page(request):
            message = f"no page {request.url.path!r:.200}"
    elif error.status_code == 405:  # noqa: PLR2004 - its name
        kind, message = "method", f"{request.method} is not for {request.url.path!r:.200}"
    return Problem(error.status_code, kind, message, headers=error.headers)


def _wants_page(request: Request) -> bool:
    """Whether a browser asks, and not for the API."""
    is_api = str(request.scope.get("root_path", "")).endswith(V1)
    return not is_api and "text/html" in request.headers.get("accept", "")


def _known(desk: Desk, request: Request) -> Caller | None:
    """Who asks, for what is around the page; None for who is not let in."""
    try:
        return admit(desk, request)
    except Problem:
        return None
