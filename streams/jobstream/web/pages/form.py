"""The fields of a form that was sent: bounded, as texts."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from jobstream.web.problems import Problem
from jobstream.web.request_parts import raw_body

if TYPE_CHECKING:
    from starlette.requests import Request

BYTES_MAX = 262_144
FIELDS_MAX = 500
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
