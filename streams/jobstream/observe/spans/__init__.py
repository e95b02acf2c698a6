"""Spans of jobs by OpenTelemetry: who enqueued, how long it waited, ran and was settled.

A trace rides in headers and settles nothing. Modules are imported where tracing is on, since the
library is an extra that most installations do not have.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from jobstream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.enqueue.client import SendTracing
    from jobstream.settings import Settings
    from jobstream_processors.ports import Outgoing


def require_library() -> None:
    """Raise ConfigError where tracing is on and its library is not installed."""
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        message = (
            "tracing is on, but OpenTelemetry is not installed: "
            "pip install 'jobstream[otel]', or set JOBSTREAM_TRACING=off"
        )
        raise ConfigError(message)


@contextmanager
def spans_sent(app: str, settings: Settings) -> Iterator[None]:
    """Send this process's spans over OTLP meanwhile, if the app traces and no user code does.

    Leaving it sends the last ones and blocks at most 3 s.
    """
    if not settings.tracing:
        yield
        return
    require_library()
    from jobstream.observe.spans.otlp import start  # noqa: PLC0415 - an extra

    leave = start(app)
    try:
        yield
    finally:
        if leave is not None:
            leave()


def send_tracing() -> SendTracing:
    """The hooks of a client whose app traces."""
    require_library()
    from jobstream.observe.spans.traced_client import ClientTracing  # noqa: PLC0415 - an extra

    return ClientTracing()


def within_current(record: Outgoing) -> Outgoing:
    """The record with the context of the span that is current here, for one that is sent later."""
    require_library()
    from opentelemetry.trace import get_current_span  # noqa: PLC0415 - an extra

    from jobstream.observe.spans.carrying import carried  # noqa: PLC0415 - as above

    return carried(record, get_current_span().get_span_context())
