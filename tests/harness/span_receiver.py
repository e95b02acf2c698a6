"""A receiver of spans over OTLP: what a collector is to an exporter."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver(ThreadingHTTPServer):
    """Takes spans over HTTP and keeps them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.spans: list[tuple[str, Span]] = []
        """(service, span)"""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def take(self, body: bytes) -> None:
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {pair.key: pair.value.string_value for pair in group.resource.attributes}
            for scope in group.scope_spans:
                self.spans += [(named["service.name"], span) for span in scope.spans]

    def trace_of(self, root: str) -> dict[str, list[tuple[str, Span]]]:
        """Name → (service, span) in the order they began, of the trace with that root."""
        roots = [span.trace_id for _, span in list(self.spans) if span.name == root]
        found: dict[str, list[tuple[str, Span]]] = {}
        spans = [pair for pair in list(self.spans) if pair[1].trace_id in roots]
        for service, span in sorted(spans, key=lambda pair: pair[1].start_time_unix_nano):
            found.setdefault(span.name, []).append((service, span))
        return found


class Taking(BaseHTTPRequestHandler):
    """One export."""

    def do_POST(self) -> None:
        """Keep the spans; an empty body says that all were accepted."""
        assert isinstance(self.server, Receiver)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces":
            self.server.take(body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port of this machine."""
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
