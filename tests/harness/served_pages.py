"""An application served to a real browser, on a port of its own, within this process."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp

LISTENS_S = 120
"""Guards against hanging only: long enough for a busy machine."""


@contextmanager
def served(application: ASGIApp) -> Iterator[str]:
    """The address of the application, which is served until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application, log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    wait_until(lambda: server.started, "the server listens", limit_s=LISTENS_S)
    try:
        yield f"http://localhost:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
