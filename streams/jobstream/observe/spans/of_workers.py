"""Chooses the hooks of a worker: those that do nothing where its app does not trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.observe.spans import require_library
from jobstream.topics.names import worker_group
from jobstream_processors.watch.tracing import UNTRACED

if TYPE_CHECKING:
    from jobstream.settings import Settings
    from jobstream_processors.watch.tracing import Tracing


def tracing_of(app: str, settings: Settings) -> Tracing:
    """The hooks of a worker of that app."""
    if not settings.tracing:
        return UNTRACED
    require_library()
    from opentelemetry.trace import get_tracer  # noqa: PLC0415 - an extra

    from jobstream.observe.spans.span_names import SCOPE  # noqa: PLC0415 - likewise
    from jobstream.observe.spans.worker_spans import WorkerTracing  # noqa: PLC0415 - an extra

    return WorkerTracing(get_tracer(SCOPE), worker_group(app), app)
