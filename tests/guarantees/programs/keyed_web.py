"""A service behind idempotency keys, as ASGI and as WSGI; each effect is a line in a file.

What a request does stands in its body: `wait` for a gate to open, `hold` the thread meanwhile,
`enqueue` jobs, answer with a `status`, or `stream` the answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobstream import App
from jobstream.idempotency import WsgiIdempotency
from jobstream.sql import SqlKeyStore
from jobstream.web import IdempotencyMiddleware

FOLDER = Path(os.environ["KEYED_FOLDER"])
LEASE = os.environ.get("KEYED_LEASE", "30s")
DOWN = os.environ.get("KEYED_DOWN", "refuse")

app = App(os.environ.get("KEYED_APP", "keyed"), size="small")


@dataclass(frozen=True)
class Parcel:
    """What is shipped."""

    n: int


ship = app.declare("ship", Parcel)


def say(what: str, request: dict[str, Any]) -> None:
    """One line, which processes do not mix up."""
    line = f"{what} {request['n']} {os.getpid()}\n".encode()
    file = os.open(FOLDER / "ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def is_open() -> bool:
    return (FOLDER / "gate").exists()


def hold() -> None:
    pause = threading.Event()
    while not is_open():
        pause.wait(0.02)


async def service(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
    """The handler of each request."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})
        await send({"type": "websocket.close"})
        return
    request = json.loads((await receive())["body"])
    say("begin", request)
    for n in request.get("enqueue", ()):
        await ship.aenqueue(Parcel(n))
    if request.get("hold"):
        hold()
    while request.get("wait") and not is_open():  # noqa: ASYNC110 - a file tells no event
        await asyncio.sleep(0.02)  # work
    say("end", request)
    body = json.dumps({"done": request["n"], "by": os.getpid()}).encode()
    headers = [] if request.get("stream") else [(b"content-length", b"%d" % len(body))]
    status = request.get("status", 201)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body[:5], "more_body": True})
    await send({"type": "http.response.body", "body": body[5:]})


def pages(environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401 - WSGI
    """The same as WSGI."""
    request = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    say("begin", request)
    for n in request.get("enqueue", ()):
        ship.enqueue(Parcel(n))
    if request.get("wait"):
        hold()
    say("end", request)
    body = json.dumps({"done": request["n"], "by": os.getpid()}).encode()
    start_response("201 Created", [("Content-Length", str(len(body)))])
    return [body]


store = SqlKeyStore(os.environ["KEYED_URL"])
# As a module does that asks its database while it is loaded: before a server forks.
store.check()
web = IdempotencyMiddleware(service, store, lease=LEASE, on_store_down=DOWN)  # type: ignore[arg-type]
application = WsgiIdempotency(pages, store, lease=LEASE)
