"""The fields of a form that was sent: bounded, as texts."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from jobstream.web.entry_check import FORM_HEADER, session_of
from jobstream.web.problems import Problem
from jobstream.web.request_parts import raw_body

if TYPE_CHECKING:
    from starlette.requests import Request

    from jobstream.web.desk import Desk

BYTES_MAX = 262_144
FIELDS_MAX = 500
FORM_TOKEN = "_form"  # noqa: S105 - a field's name
BACK = "_back"
_KIND = "application/x-www-form-urlencoded"


async def form_of(request: Request) -> dict[str, str]:
    """Field → its text, the last one where a name comes twice; raises Problem."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _KIND:
        raise Problem(415, "media-type", f"Content-Type {kind!r:.100}: send a form ({_KIND})")
    body = await raw_body(request, BYTES_MAX)
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FIELDS_MAX
        )
    except ValueError as error:
        raise Problem(400, "no-form", f"the form has more than {FIELDS_MAX} fields") from error
    return dict(pairs)


def with_form_token(desk: Desk, request: Request, form: dict[str, str]) -> Request:
    """The request with the form's token where the gate looks for it.

    Raises Problem for one without a session: only a page's form acts here, other callers have the
    API.
    """
    from starlette.requests import Request as Made  # noqa: PLC0415 - annotated above for types

    if session_of(desk, request) is None:
        message = "the session is over, or its cookie did not come: reload the page, and act again"
        raise Problem(403, "form", message)
    token = form.get(FORM_TOKEN, "").encode("latin-1", "replace")
    headers = [
        (name, value)
        for name, value in request.scope["headers"]
        if name not in {FORM_HEADER.encode(), b"authorization"}
    ]
    return Made({**request.scope, "headers": [*headers, (FORM_HEADER.encode(), token)]})
