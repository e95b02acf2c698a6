"""Signing in by the provider: the authorisation code flow, with PKCE, state and nonce.

The browser holds the state of its sign-in in a signed cookie; verifier and nonce are made of it by
the server's key, so that they never leave it. A state is taken once.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response

from jobstream.web.entry_check import check_host
from jobstream.web.oidc import SESSION_S
from jobstream.web.oidc_provider import CodeRefused, ProviderAway
from jobstream.web.pages.page_paths import Places
from jobstream.web.pages.page_serving import error_page, keep_session
from jobstream.web.pages.sign_in import check_attempts
from jobstream.web.problems import AWAY_RETRY_S, Problem, retry_after

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from jobstream.web.desk import Desk
    from jobstream.web.oidc import Oidc

    Endpoint = Callable[[Request], Awaitable[Response]]

COOKIE = "jobstream_sign_in"
LASTS_S = 600.0
"""How long a sign-in may take."""
USED_MAX = 10_000
CODE_CHARS_MAX = 4_000


class UsedStates:
    """States that were taken, until they are over anyway. Used on one event loop."""

    def __init__(self) -> None:
        self._until_s: OrderedDict[str, float] = OrderedDict()

    def take(self, state: str, until_s: float, now_s: float) -> bool:
        """Whether this is its first use."""
        while self._until_s and (
            len(self._until_s) > USED_MAX or next(iter(self._until_s.values())) < now_s
        ):
            self._until_s.popitem(last=False)
        if state in self._until_s:
            return False
        self._until_s[state] = until_s
        return True


def begin_of(desk: Desk, oidc: Oidc) -> Endpoint:
    """Sends the browser to the provider."""

    async def begin(request: Request) -> Response:
        request.state.route = "page_sign_in_oidc"
        try:
            check_host(desk, request)
            check_attempts(desk, request)
            state = secrets.token_urlsafe(24)
            sessions = desk.sessions
            target = await oidc.begins_at(
                state, sessions.derive("nonce", state), sessions.derive("pkce", state),
                _back(desk, request),
            )  # fmt: skip
        except ProviderAway as error:
            return error_page(desk, request, _away(error), None)
        except Problem as problem:
            return error_page(desk, request, problem, None)
        answer = RedirectResponse(target, 303, {"Cache-Control": "no-store"})
        wanted = request.query_params.get("next", "")
        places = Places.of(request)
        told = [state, wanted if places.is_ours(wanted) else places.to()]
        answer.set_cookie(
            COOKIE, sessions.seal("sign-in", told, desk.now_s() + LASTS_S), max_age=round(LASTS_S),
            path=_path(request), secure=desk.options.is_secure, httponly=True, samesite="lax",
        )  # fmt: skip
        return answer

    return begin


def back_of(desk: Desk, oidc: Oidc) -> Endpoint:
    """Takes the browser back from the provider, and begins its session."""
    used = UsedStates()

    async def back(request: Request) -> Response:
        request.state.route = "page_sign_in_oidc_back"
        try:
            check_host(desk, request)
            state, target = _begun(desk, oidc, request, used)
            sessions = desk.sessions
            caller = await oidc.ends_with(
                request.query_params["code"], sessions.derive("nonce", state),
                sessions.derive("pkce", state), _back(desk, request),
            )  # fmt: skip
        except (ProviderAway, CodeRefused) as error:
            answer = error_page(desk, request, _away(error), None)
        except Problem as problem:
            answer = error_page(desk, request, _shown(problem), None)
        else:
            request.state.caller = caller.name
            answer = RedirectResponse(target, 303, {"Cache-Control": "no-store"})
            cookie = sessions.begin(oidc.session_id(caller), desk.now_s(), SESSION_S)
            keep_session(desk, request, answer, cookie)
        answer.delete_cookie(
            COOKIE, path=_path(request), secure=desk.options.is_secure, httponly=True,
            samesite="lax",
        )  # fmt: skip
        return answer

    return back


def _begun(desk: Desk, oidc: Oidc, request: Request, used: UsedStates) -> tuple[str, str]:
    """State and target of the sign-in that this browser began; raises Problem."""
    given, now_s = request.query_params, desk.now_s()
    opened = desk.sessions.unseal("sign-in", request.cookies.get(COOKIE, ""), now_s)
    if opened is None:
        message = "no sign-in was begun in this browser, or it took too long: begin it anew"
        raise Problem(403, "sign-in", message)
    (state, target), until_s = opened
    if not hmac.compare_digest(given.get("state", "").encode("utf-8", "replace"), state.encode()):
        message = "this answer is of another sign-in: begin it anew"
        raise Problem(403, "sign-in", message)
    if not used.take(state, until_s, now_s):
        message = "this sign-in was ended already: begin it anew"
        raise Problem(403, "sign-in", message)
    if given.get("iss", oidc.options.issuer) != oidc.options.issuer:
        raise Problem(403, "sign-in", "another provider answered: begin the sign-in anew")
    if "error" in given or not given.get("code") or len(given["code"]) > CODE_CHARS_MAX:
        said = given.get("error_description") or given.get("error") or "it gave no code"
        raise Problem(403, "sign-in", f"the provider did not sign you in: {said[:300]}")
    return state, target


def _shown(problem: Problem) -> Problem:
    """A 401 would lead to the sign-in again, and round and round."""
    return problem if problem.status != 401 else Problem(403, "sign-in", problem.detail)  # noqa: PLR2004


def _away(error: Exception) -> Problem:
    if isinstance(error, CodeRefused):
        return Problem(403, "sign-in", str(error))
    return Problem(503, "provider-away", str(error), headers=retry_after(AWAY_RETRY_S))


def _path(request: Request) -> str:
    return f"{Places.of(request).base}/sign-in"


def _back(desk: Desk, request: Request) -> str:
    scheme = "https" if desk.options.is_secure else request.url.scheme
    host = request.headers.get("host", "")
    return f"{scheme}://{host}{_path(request)}/oidc/back"
