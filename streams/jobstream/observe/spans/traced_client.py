"""Spans around the enqueues of a client whose app traces; their contexts ride in the jobs' headers.

They belong to whatever tracing the service has set up; where none is set up, nothing is written.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind, get_tracer

from jobstream.observe.spans import span_names as names
from jobstream.observe.spans.carrying import carried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from opentelemetry.trace import Span, SpanContext

    from jobstream.enqueue.client import Send, SendAsync, SendMany
    from jobstream.enqueue.composing import Composed, JobKind
    from jobstream.enqueue.enqueued import Enqueued
    from jobstream.enqueue.many_acks import Tally


class ClientTracing:
    """The hooks of one client: `jobstream.enqueue.client.SendTracing`."""

    def send(self, send: Send) -> Send:
        """`send`, in a span of its own."""

        def traced(kind: JobKind, composed: Composed) -> Enqueued:
            with _sending(kind, composed[1].topic) as span:
                return _told(span, send(kind, _within(span.get_span_context(), composed)))

        return traced

    def send_async(self, send_async: SendAsync) -> SendAsync:
        """`send_async`, in a span of its own."""

        async def traced(kind: JobKind, composed: Composed) -> Enqueued:
            with _sending(kind, composed[1].topic) as span:
                return _told(
                    span, await send_async(kind, _within(span.get_span_context(), composed))
                )

        return traced

    def send_many(self, send_many: SendMany) -> SendMany:
        """`send_many`, in one span for all: every job is a child of it."""

        def traced(
            kind: JobKind, jobs: Iterable[Any], compose: Callable[[Any], Composed], tally: Tally
        ) -> list[str]:
            with _sending(kind, kind.plan.topic) as span:
                context = span.get_span_context()
                ids = send_many(kind, jobs, lambda args: _within(context, compose(args)), tally)
                span.set_attribute(names.COUNT, len(ids))
                return ids

        return traced


def _within(context: SpanContext, composed: Composed) -> Composed:
    meta, record = composed
    return meta, carried(record, context)


@contextmanager
def _sending(kind: JobKind, topic: str) -> Iterator[Span]:
    attributes = {
        names.SYSTEM: names.KAFKA,
        names.OPERATION: "send",
        names.OPERATION_TYPE: "send",
        names.TOPIC: topic,
        names.JOB: kind.codec.schema.job_type,
        names.QUEUE: kind.plan.name,
    }
    tracer = get_tracer(names.SCOPE)
    with tracer.start_as_current_span(f"send {topic}", None, SpanKind.PRODUCER, attributes) as span:
        try:
            yield span
        except Exception as error:
            span.set_attribute(names.ERROR, f"{type(error).__module__}.{type(error).__qualname__}")
            raise


def _told(span: Span, sent: Enqueued) -> Enqueued:
    if span.is_recording():
        span.set_attribute(names.MESSAGE_ID, sent.job_id)
        span.set_attribute(names.PARTITION, str(sent.partition))
        span.set_attribute(names.OFFSET, sent.offset)
    return sent
