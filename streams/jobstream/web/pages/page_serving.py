"""Runs one page for one request: lets it in, asks for its answer, renders it, or tells why not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response

from jobstream.web.entry_check import COOKIE, admit, require, session_of
from jobstream.web.pages.page_paths import Places
from jobstream.web.pages.page_route import Page, PageCall
from jobstream.web.pages.rendering import FRAGMENT_HEADER, HEADERS, Around, respond
from jobstream.web.problems import Problem, problem_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from jobstream.web.callers import Caller
    from jobstream.web.desk import Desk
    from jobstream.web.pages.page_route import PageRoute

log = logging.getLogger("jobstream.web")

_UNAUTHORIZED = 401
_WHAT_TO_DO = {
    403: "Sign in with a token that has the role, or ask an operator for one.",
    404: "Look at the lists: what is there has a link.",
    422: "Change the value and ask again.",
    429: "Wait a moment and reload this page.",
    503: "Running jobs are not touched by this. Reload this page in a moment.",
}


def endpoint_of(desk: Desk, route: PageRoute) -> Callable[[Request], Awaitable[Response]]:
    """The function that the router calls for the page."""

    async def show(request: Request) -> Response:
        request.state.route = f"page_{route.name}"
        caller: Caller | None = None
        try:
            caller = admit(desk, request)
            request.state.caller = caller.name
            require(caller, route.needs)
            cookie, form_token = _session(desk, request)
            found = await route.run(PageCall(desk, request, caller, form_token))
        except Exception as error:  # noqa: BLE001 - every end of a request is an answer
            return error_page(desk, request, error, caller, route.part)
        if isinstance(found, Page):
            found = respond(request, found, around(desk, caller, form_token, route.part))
        if cookie:
            keep_session(desk, request, found, cookie)
        return found

    show.__name__ = f"page_{route.name}"
    return show


def around(desk: Desk, caller: Caller | None, form_token: str, part: str) -> Around:
    """What is around a page of this caller."""
    signed_in = caller is not None and bool(caller.token_id)
    return Around(desk.site.name, caller, form_token, part, desk.now_s(), signed_in)


def keep_session(desk: Desk, request: Request, answer: Response, cookie: str) -> None:
    """Give the browser its session.

    It comes along with a link from an alert or a chat; what a form of another site sends is refused
    by its origin and for want of the form's token.
    """
    path = f"{Places.of(request).base}/"
    answer.set_cookie(
        COOKIE, cookie, path=path, secure=desk.options.is_secure, httponly=True, samesite="lax"
    )


def error_page(
    desk: Desk, request: Request, error: Exception, caller: Caller | None, part: str = ""
) -> Response:
    """The page of an error; a caller who is not known is led to the sign-in."""
    problem = problem_of(error)
    correlation_id = request.state.correlation_id
    if problem is None:
        log.error("request_failed", extra={"correlation_id": correlation_id}, exc_info=error)
        message = f"an error of the server: its log has it as correlation_id {correlation_id}"
        problem = Problem(500, "internal", message)
    if problem.status == _UNAUTHORIZED:
        if FRAGMENT_HEADER in request.headers:
            return Response(None, _UNAUTHORIZED, HEADERS)
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        target = Places.of(request).to("sign-in", next=here)
        return RedirectResponse(target, 303, {"Cache-Control": "no-store"})
    values = {
        "problem": problem,
        "what_to_do": _WHAT_TO_DO.get(problem.status, ""),
        "correlation_id": correlation_id,
    }
    page = Page("error.html", problem.kind.replace("-", " "), values, status=problem.status)
    form_token = _session(desk, request)[1] if caller is not None else ""
    answer = respond(request, page, around(desk, caller, form_token, part))
    answer.headers.update(problem.headers)
    return answer


def _session(desk: Desk, request: Request) -> tuple[str, str]:
    """The cookie to give, "" if there is one that holds; and what the forms are to carry.

    A caller of the loopback without a token gets a session, too, so that its forms can't be forged.
    """
    session = session_of(desk, request)
    if session is not None:
        return "", desk.sessions.form_token(session)
    if not desk.is_open:
        return "", ""
    cookie = desk.sessions.begin("", desk.now_s())
    made = desk.sessions.read(cookie, desk.now_s())
    return cookie, desk.sessions.form_token(made) if made is not None else ""
