"""Spans of this process, kept in a list: the tracer provider of a process can be set only once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id

from jobstream.testing import MemoryJobs, memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

    from jobstream import App


class Seen:
    """The spans that have ended, by name."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def all(self) -> list[ReadableSpan]:
        """Every span, in the order they began."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def named(self, name: str) -> list[ReadableSpan]:
        """The spans of that name, in the order they began."""
        return [span for span in self.all() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The only span of that name."""
        (found,) = self.named(name)
        return found


def ids(context: SpanContext | None) -> tuple[str, str]:
    assert context is not None
    return format_trace_id(context.trace_id), format_span_id(context.span_id)


@pytest.fixture(scope="session")
def exporter() -> InMemorySpanExporter:
    found = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(found))
    trace.set_tracer_provider(provider)
    return found


@pytest.fixture
def seen(exporter: InMemorySpanExporter) -> Iterator[Seen]:
    exporter.clear()
    yield Seen(exporter)
    exporter.clear()


@pytest.fixture
def jobs(app: App, seen: Seen) -> Iterator[MemoryJobs]:
    """Runs the test module's own `app`."""
    assert not seen.all()
    with memory(app) as running:
        yield running
