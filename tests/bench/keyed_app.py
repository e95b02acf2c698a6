"""The service that is measured with idempotency keys and without: its answer is a small JSON."""

from __future__ import annotations

import os
from typing import Any

from jobstream.sql import SqlKeyStore
from jobstream.web import IdempotencyMiddleware

ANSWER = b'{"number": 1, "state": "paid"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]


async def service(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
    """Read the body, and answer."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 201, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


keyed = IdempotencyMiddleware(service, SqlKeyStore(os.environ["BENCH_KEYS"]))


async def web(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
    """`/keyed` passes the middleware, everything else does not."""
    app = keyed if scope.get("path") == "/keyed" else service
    await app(scope, receive, send)
