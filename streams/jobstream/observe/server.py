"""The endpoint of a process: metrics, probes and status over HTTP, on a thread of its own.

Each request asks collectors and probes anew. Every role is served alike. Requests are answered a
few at a time, and what asks too slowly is dropped.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from functools import partial
from importlib.metadata import version
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app

from jobstream.build_kind import build_kind
from jobstream.errors import ConfigError
from jobstream.observe.families import gauge
from jobstream.observe.health import asked, holds
from jobstream.observe.targets import announce, folder_of
from jobstream_processors.background import in_background, log_end
from jobstream_processors.forked import close_in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Self
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.registry import Collector

    from jobstream.observe.health import Check, Probes
    from jobstream.observe.targets import Announcement
    from jobstream.settings import Settings

log = logging.getLogger("jobstream.observe")

AT_ONCE_MAX = 8
"""Requests answered at once; one more is refused."""
REQUEST_S_MAX = 10.0
"""How long a client may take to say what it wants."""
WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - recognised, not bound
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


class Endpoint:
    """What `serve` started; `close` ends it. With metrics off there is none: `address` is ""."""

    def __init__(
        self, server: _Server | None, address: str, announced: Announcement | None
    ) -> None:
        self._server = server
        self.address = address
        self._announced = announced
        self._told = False

    def tell_ready(self, role: str) -> None:
        """Say in the log that this process serves, and where to ask it; a second call does not."""
        if self._told:
            return
        self._told = True
        where = {}
        if self.address:
            url = f"http://{self.address}"
            where = {"metrics": f"{url}/metrics", "probes": f"{url}/readyz"}
        log.info("ready", extra={"role": role} | where)

    def close(self) -> None:
        """Stop answering and take this process off the list. A second call does nothing."""
        server, self._server = self._server, None
        if self._announced is not None:
            self._announced.close()
        if server is not None:
            server.shutdown()
            server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(
    settings: Settings, app_name: str, role: str, collectors: Iterable[Collector], probes: Probes
) -> Endpoint:
    """Answer on `metrics_host:metrics_port` from now on; returns at once.

    Paths: /metrics, /livez, /readyz, /startupz, /status. The process can be found in
    `<state dir>/<app>/targets`. Raises ConfigError if the port is taken or the host is not here.
    """
    if settings.metrics_port is None:
        return Endpoint(None, "", None)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Build(app_name, role))
    for collector in collectors:
        registry.register(collector)
    identity = {"app": app_name, "role": role, "pid": os.getpid(), "version": version("jobstream")}
    server = _listen(settings, application(registry, probes, identity))
    address = _told(settings.metrics_host, server.server_address[1])
    in_background("jobstream-metrics", partial(server.serve_forever, 0.1), log_end("metrics"))
    labels = {"app": app_name, "role": role}
    announced = None
    try:
        announced = announce(folder_of(settings.state_dir, app_name), role, address, labels)
    except OSError as error:
        # Jobs do not depend on it: a disk that can't be written shows itself at the table.
        log.warning("target_not_written", extra={"reason": str(error)})
    log.debug("metrics_served", extra={"address": address, "role": role})
    return Endpoint(server, address, announced)


def application(
    registry: CollectorRegistry, probes: Probes, identity: dict[str, object]
) -> WSGIApplication:
    """The pages as a WSGI application."""
    metrics = make_wsgi_app(registry)
    pages: dict[str, Callable[[], tuple[bool, dict[str, object]]]] = {
        "/livez": lambda: _answer(asked(probes.live)),
        "/readyz": lambda: _answer(asked(probes.ready)),
        "/startupz": lambda: _answer(asked(probes.started)),
        "/status": lambda: (True, {**identity, **status(probes)}),
    }

    def respond(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path, method = environ.get("PATH_INFO", "/"), environ["REQUEST_METHOD"]
        if method not in {"GET", "HEAD"}:
            return _send(start, "405 Method Not Allowed", b"only GET\n", TEXT)
        if path == "/metrics":
            try:
                found: Iterable[bytes] = metrics(environ, start)
            except Exception:
                log.exception("scrape_failed")
                return _send(start, "500 Internal Server Error", b"see the log\n", TEXT)
            return found
        if path not in pages:
            known = " ".join(("/metrics", *pages))
            return _send(start, "404 Not Found", f"there are {known}\n".encode(), TEXT)
        ok, body = pages[path]()
        code = "200 OK" if ok else "503 Service Unavailable"
        return _send(start, code, json.dumps(body, default=str).encode() + b"\n", JSON)

    return respond


def status(probes: Probes) -> dict[str, object]:
    """All that the process says of itself: the three answers, what failed, and its own words."""
    answers = {
        "live": asked(probes.live),
        "ready": asked(probes.ready),
        "started": asked(probes.started),
    }
    failed = [
        {"probe": probe, "check": check.name, "why": check.why}
        for probe, checks in answers.items()
        for check in checks
        if not check.ok
    ]
    told: dict[str, object] = {name: holds(checks) for name, checks in answers.items()}
    try:
        return {**told, "failed": failed, **probes.status()}
    except Exception as error:  # noqa: BLE001 - as for a probe: the others are still worth telling
        return {**told, "failed": failed, "error": repr(error)}


def _answer(checks: Sequence[Check]) -> tuple[bool, dict[str, object]]:
    ok = holds(checks)
    shown = [{"name": c.name, "ok": c.ok} | ({} if c.ok else {"why": c.why}) for c in checks]
    return ok, {"ok": ok, "checks": shown}


def _send(start: StartResponse, code: str, body: bytes, kind: str) -> list[bytes]:
    start(code, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


class _Build:
    """`jobs_build_info` and nothing else."""

    def __init__(self, app_name: str, role: str) -> None:
        self._labels = (version("jobstream"), build_kind(), role, app_name)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """One family."""
        return [gauge("jobs_build_info", [(self._labels, 1.0)])]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the library's own
        self._room = threading.BoundedSemaphore(AT_ONCE_MAX)
        super().__init__(*args, **kwargs)

    def server_bind(self) -> None:
        """Bind, without the library's look-up of a full host name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        close_in_child(self.socket)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment] # as the library does
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Answer on a thread, if few enough are being answered."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """On that thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        """A client that went away is no fault of ours, and no reason for a traceback."""
        log.debug("request_failed")


class _Six(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_S_MAX

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
        """A line for each scrape is noise."""


def _listen(settings: Settings, app: WSGIApplication) -> _Server:
    host, port = settings.metrics_host, settings.metrics_port or 0
    kind = _Six if ":" in host else _Server
    try:
        return make_server(host, port, app, server_class=kind, handler_class=_Handler)
    except OSError as error:
        message = (
            f"metrics_port={port} on metrics_host={host!r}: {error.strerror or error}; choose a "
            "free port with JOBSTREAM_METRICS_PORT (0: any), or 'off'"
        )
        raise ConfigError(message) from error


def _told(host: str, port: int) -> str:
    """The address under which others reach it: of a wildcard, this machine's name if it has one."""
    if host in WILDCARDS:
        name = socket.gethostname()
        try:
            socket.getaddrinfo(name, port)
        except OSError:
            name = "127.0.0.1"
        return f"{name}:{port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
