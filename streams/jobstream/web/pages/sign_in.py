"""Signing in with a token, signing out, and the choice of dark or light."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response

from jobstream.web.entry_check import COOKIE, check_host, check_origin
from jobstream.web.pages.form import BACK, form_of
from jobstream.web.pages.page_paths import Places
from jobstream.web.pages.page_route import Page
from jobstream.web.pages.page_serving import around, error_page, keep_session
from jobstream.web.pages.rendering import THEME_COOKIE, THEMES, respond
from jobstream.web.problems import Problem, retry_after

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from jobstream.web.desk import Desk

    Endpoint = Callable[[Request], Awaitable[Response]]

YEAR_S = 365 * 86_400
UNKNOWN = (
    "This token is not known here: it is wrong, or was revoked. `jobstream web token list` shows "
    "which there are, `jobstream web token add` makes one."
)


def sign_in_of(desk: Desk) -> Endpoint:
    """The sign-in: its form, and what the form sends."""

    async def sign_in(request: Request) -> Response:
        request.state.route = "page_sign_in"
        try:
            check_host(desk, request)
            check_origin(request)
            if request.method == "POST":
                return await _begin(desk, request)
            return _form(desk, request, request.query_params.get("next", ""))
        except Problem as problem:
            return error_page(desk, request, problem, None)

    return sign_in


async def _begin(desk: Desk, request: Request) -> Response:
    check_attempts(desk, request)
    form = await form_of(request)
    caller = desk.tokens.now().caller(form.get("token", "").strip())
    wanted = form.get("next", "")
    if caller is None:
        return _form(desk, request, wanted, UNKNOWN, 403)
    places = Places.of(request)
    target = wanted if places.is_ours(wanted) else places.to()
    request.state.caller = caller.name
    answer = RedirectResponse(target, 303, {"Cache-Control": "no-store"})
    keep_session(desk, request, answer, desk.sessions.begin(caller.token_id, desk.now_s()))
    return answer


def check_attempts(desk: Desk, request: Request) -> None:
    """Raise Problem where too many attempts to sign in come from that address."""
    client = request.client.host if request.client is not None else ""
    if wait_s := desk.rate.wait_s(("sign-in", client)):
        message = "too many attempts to sign in from there"
        raise Problem(429, "rate", message, headers=retry_after(wait_s))


def _form(desk: Desk, request: Request, wanted: str, why: str = "", status: int = 200) -> Response:
    provider = ""
    if desk.oidc is not None and desk.oidc.options.client_id:
        provider = urlsplit(desk.oidc.options.issuer).hostname or ""
    is_ours = Places.of(request).is_ours(wanted)
    values = {"next": wanted if is_ours else "", "why": why, "provider": provider}
    page = Page("sign_in.html", "Sign in", values, status=status)
    return respond(request, page, around(desk, None, "", ""))


def sign_out_of(desk: Desk) -> Endpoint:
    """Ends the session of this browser."""

    async def sign_out(request: Request) -> Response:
        request.state.route = "page_sign_out"
        try:
            check_host(desk, request)
            check_origin(request)
        except Problem as problem:
            return error_page(desk, request, problem, None)
        places = Places.of(request)
        answer = RedirectResponse(places.to("sign-in"), 303, {"Cache-Control": "no-store"})
        answer.delete_cookie(
            COOKIE, path=f"{places.base}/", secure=desk.options.is_secure, httponly=True,
            samesite="lax",
        )  # fmt: skip
        return answer

    return sign_out


def theme_of(desk: Desk) -> Endpoint:
    """Keeps the choice of dark, light, or what the system says, in a cookie."""

    async def choose(request: Request) -> Response:
        request.state.route = "page_theme"
        try:
            check_host(desk, request)
            check_origin(request)
            form = await form_of(request)
        except Problem as problem:
            return error_page(desk, request, problem, None)
        places = Places.of(request)
        back = form.get(BACK, "")
        target = back if places.is_ours(back) else places.to()
        answer = RedirectResponse(target, 303, {"Cache-Control": "no-store"})
        theme = form.get("theme", "")
        answer.set_cookie(
            THEME_COOKIE, theme if theme in THEMES else "auto", max_age=YEAR_S,
            path=f"{places.base}/", secure=desk.options.is_secure, samesite="lax",
        )  # fmt: skip
        return answer

    return choose
