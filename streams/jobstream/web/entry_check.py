"""Lets a request in or refuses it: by its host, its origin, its token or session, and its rate.

A page of another site can make a browser send requests here, and can make a name of its own lead to
this machine. So without tokens only the loopback's own names are served, a session's act needs a
token of its form, and no act is taken from another origin.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jobstream.web.callers import LOCAL, Caller, TokenRole
from jobstream.web.problems import Problem, retry_after

if TYPE_CHECKING:
    from starlette.requests import Request

    from jobstream.web.desk import Desk
    from jobstream.web.page_sessions import Session

COOKIE = "jobstream_session"
FORM_HEADER = "x-csrf-token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PROXIED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_UNKNOWN = "the token is not known here: it is wrong, or was revoked"
_MISSING = "send a token: Authorization: Bearer jst_…"
_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain"})


def admit(desk: Desk, request: Request) -> Caller:
    """Who makes this request; raises Problem for one that is refused."""
    check_host(desk, request)
    check_origin(request)
    caller = _caller(desk, request)
    wait_s = desk.rate.wait_s(caller.token_id or "local")
    if wait_s:
        message = (
            f"token {caller.name!r} makes more than {desk.rate.per_s:g} requests a second: "
            "slow down, or enqueue many jobs in one request"
        )
        raise Problem(429, "rate", message, headers=retry_after(wait_s))
    return caller


async def prepare(desk: Desk, request: Request) -> None:
    """Get what is needed to know the caller; waits for the identity provider at most."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if desk.oidc is not None and scheme.lower() == "bearer" and desk.oidc.is_ours(token):
        await desk.oidc.ready_for(token)


def require(caller: Caller, role: TokenRole) -> None:
    """Raise Problem where the caller lacks that role."""
    if not caller.has(role):
        own = ", ".join(sorted(caller.roles))
        message = f"token {caller.name!r} has the role {own}, and this needs {role}"
        raise Problem(403, "role", message, needs=str(role))


def require_queue(caller: Caller, queue: str) -> None:
    """Raise Problem where that queue is not the caller's business."""
    if not caller.sees(queue):
        own = ", ".join(sorted(caller.queues))
        message = f"token {caller.name!r} is for {own} alone, and this is about {queue!r:.100}"
        raise Problem(403, "queue", message)


def require_whole(caller: Caller) -> None:
    """Raise Problem where the caller may see some queues alone, and this is about the whole app."""
    if caller.queues:
        own = ", ".join(sorted(caller.queues))
        message = f"token {caller.name!r} is for {own} alone, and this is about the whole app"
        raise Problem(403, "queue", message)


def session_of(desk: Desk, request: Request) -> Session | None:
    """The session that the request's cookie names; None without one that holds."""
    cookie = request.cookies.get(COOKIE)
    return desk.sessions.read(cookie, desk.now_s()) if cookie else None


def holder_of(desk: Desk, session: Session) -> Caller | None:
    """Who began the session, with what the token may do now; None if it was revoked since."""
    if not session.token_id:
        return LOCAL if desk.is_open else None
    return desk.holder(session.token_id)


def check_host(desk: Desk, request: Request) -> None:
    """Raise Problem for a name under which nothing is served here."""
    name = _name_of(request.headers.get("host", ""))
    if desk.options.hosts:
        if name not in desk.options.hosts:
            message = f"no host {name!r:.100} is served here; allow it with --allow-host"
            raise Problem(421, "host", message)
    elif desk.is_open and not is_loopback(name):
        message = (
            f"host {name!r:.100}: without tokens this serves 127.0.0.1 and localhost alone; "
            "make one with: jobstream web token add MODULE:APP NAME --role read"
        )
        raise Problem(421, "host", message)


def check_origin(request: Request) -> None:
    """Raise Problem for an act that a page of another site asks for."""
    if request.method in SAFE:
        return
    origin = request.headers.get("origin")
    if origin is not None and _site_of(origin) != request.headers.get("host", ""):
        raise Problem(403, "origin", f"origin {origin!r:.100} is another site")
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise Problem(403, "origin", "a page of another site asks for it")


def is_loopback(name: str) -> bool:
    """Whether that is an address or a name of this machine for itself."""
    if name in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _caller(desk: Desk, request: Request) -> Caller:
    given = request.headers.get("authorization")
    if given is not None:
        scheme, _, token = given.partition(" ")
        if desk.oidc is not None and scheme.lower() == "bearer" and desk.oidc.is_ours(token):
            return desk.oidc.bearer(token)
        found = desk.tokens.now().caller(token.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            raise _refused(_UNKNOWN)
        return found
    session = session_of(desk, request)
    if session is not None and (found := holder_of(desk, session)) is not None:
        form = request.headers.get(FORM_HEADER, "")
        if request.method not in SAFE and not desk.sessions.is_form_token(session, form):
            message = f"a session's act needs the header {FORM_HEADER}, which its pages know"
            raise Problem(403, "form", message)
        return found
    if desk.is_open:
        return _local(request)
    raise _refused(_MISSING)


def _local(request: Request) -> Caller:
    came_from = request.client.host if request.client is not None else ""
    proxied = [name for name in _PROXIED if name in request.headers]
    if not is_loopback(came_from) or proxied:
        message = (
            "without tokens only callers of this machine are served, and none that came through "
            "a proxy: make a token with: jobstream web token add MODULE:APP NAME --role read"
        )
        raise Problem(403, "not-local", message)
    return LOCAL


def _refused(why: str) -> Problem:
    return Problem(401, "token", why, headers={"WWW-Authenticate": 'Bearer realm="jobstream"'})


def _site_of(origin: str) -> str | None:
    """The host and port in an Origin header."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _name_of(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
