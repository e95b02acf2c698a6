"""The style sheet, the script and the icon of the package; their paths change with their bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.responses import Response

from jobstream.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file."""

    body: bytes
    kind: str
    hash: str


@cache
def static_files() -> Mapping[str, StaticFile]:
    """Every file by its name; read once."""
    found = {}
    for each in (files("jobstream.web") / "static").iterdir():
        kind = KINDS.get(each.name[each.name.rfind(".") :])
        if kind is not None:
            body = each.read_bytes()
            found[each.name] = StaticFile(body, kind, hashlib.sha256(body).hexdigest()[:16])
    return found


def static_path(name: str) -> str:
    """Where a file is served, below the pages."""
    return f"/static/{static_files()[name].hash}/{name}"


async def serve_static(request: Request) -> Response:
    """Serve one file; raises Problem for a name that is not there.

    A path with another hash is that of another version: it gets the file that is here, unkept.
    """
    found = static_files().get(request.path_params["name"])
    if found is None:
        raise Problem(404, "not-there", f"no file {request.path_params['name']!r:.100}")
    etag = f'"{found.hash}"'
    is_ours = request.path_params["hash"] == found.hash
    headers = {"ETag": etag, "Cache-Control": FOR_EVER if is_ours else "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(None, 304, headers)
    return Response(found.body, 200, headers, found.kind)
