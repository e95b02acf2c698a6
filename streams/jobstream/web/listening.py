"""Serves an application on an address until it is asked to leave; the stop is bounded."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from jobstream.errors import ConfigError
from jobstream.roles.stop_signals import SIGNALS, leave_at_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp

STOP_S = 5
"""How long requests may go on after a stop was asked for."""
IDLE_S = 30
CONNECTIONS_MAX = 2_000
HEADERS_BYTES_MAX = 65_536


class _Server(uvicorn.Server):
    """Leaves signals to the one who has them, and tells what waits for long that it stops."""

    def __init__(self, config: uvicorn.Config, closing: Callable[[], object]) -> None:
        super().__init__(config)
        self._closing = closing

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As the library's, which waits for every request."""
        self._closing()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; raises ConfigError for a port that is taken, or another host."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named: the event loop sends small answers at once on such sockets alone.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError as error:
        made.close()
        message = (
            f"{host}:{port}: {error.strerror or error}; choose another with --host and --port "
            "(0: any free one)"
        )
        raise ConfigError(message) from error
    return made


def serve_http(
    app: ASGIApp,
    listener: socket.socket,
    ready: Callable[[], object],
    closing: Callable[[], object],
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; blocks. A second signal ends the process at once.

    `closing` is called on the event loop when a stop was asked for.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=STOP_S,
        timeout_keep_alive=IDLE_S,
        limit_concurrency=CONNECTIONS_MAX,
        h11_max_incomplete_event_size=HEADERS_BYTES_MAX,
        ws="none",
        proxy_headers=False,
    )
    server = _Server(config, closing)

    def stop(_: int) -> None:
        server.should_exit = True

    with SIGNALS.serving(stop, leave_at_once):
        ready()
        server.run(sockets=[listener])
