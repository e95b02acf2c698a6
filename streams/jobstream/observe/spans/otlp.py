"""Sends the spans of a worker process over OTLP, as the standard OTEL_* variables say.

Only where user code has set up no tracing of its own: then that is used as it is. It reads no
variable itself, and it never keeps a process from leaving.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from jobstream_processors.background import in_background, log_end

if TYPE_CHECKING:
    from collections.abc import Callable

LEAVE_S = 3.0
"""How long a process that leaves waits for its last spans to be sent."""
CHILD_EVERY_MS = 500
"""A child process may be killed at any time: it sends more often."""


def start(service: str, every_ms: int | None = None) -> Callable[[], None] | None:
    """Send this process's spans from now on; what it returns sends the last ones, at most 3 s.

    `service` names the process where OTEL_SERVICE_NAME does not; `every_ms` is how often batches
    are sent where it is given. None, and nothing is done, where a tracer provider is set already.
    """
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None  # User code's, which is used as it is; or ours.
    provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
    batches = BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=every_ms)
    provider.add_span_processor(batches)
    trace.set_tracer_provider(provider)

    def leave() -> None:
        # A thread of its own: an exporter whose receiver is away would keep the process longer.
        name = "jobstream-spans"
        in_background(name, provider.shutdown, log_end(name)).join(LEAVE_S)

    return leave


def _resource(service: str) -> Resource:
    found = Resource.create()
    if str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        return found.merge(Resource({SERVICE_NAME: service}))
    return found
