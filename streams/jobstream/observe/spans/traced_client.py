"""The client of an app that traces: a span around each enqueue, its context in the job's headers.

It belongs to whatever tracing the service has set up; where none is set up, nothing is written.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry.trace import SpanKind, get_tracer

from jobstream.enqueue.client import Client
from jobstream.observe.spans import span_names as names
from jobstream.observe.spans.carrying import carried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from opentelemetry.trace import Span

    from jobstream.enqueue.acks import Tally
    from jobstream.enqueue.client import Enqueued
    from jobstream_processors.ports import Outgoing
    from jobstream_processors.queue_plan import QueuePlan
    from jobstream_schemas import JobCodec, Meta

Args = TypeVar("Args")


class TracedClient(Client):
    """Enqueues jobs inside spans. A return, and what it proves, is the Client's."""

    def enqueue(
        self, codec: JobCodec[Any], plan: QueuePlan, meta: Meta, record: Outgoing
    ) -> Enqueued:
        """As the Client does, in a span of its own."""
        with _sending(codec, plan, record.topic) as span:
            record = carried(record, span.get_span_context())
            return _told(span, super().enqueue(codec, plan, meta, record))

    async def aenqueue(
        self, codec: JobCodec[Any], plan: QueuePlan, meta: Meta, record: Outgoing
    ) -> Enqueued:
        """As the Client does, in a span of its own."""
        with _sending(codec, plan, record.topic) as span:
            record = carried(record, span.get_span_context())
            return _told(span, await super().aenqueue(codec, plan, meta, record))

    def enqueue_many(
        self,
        codec: JobCodec[Any],
        plan: QueuePlan,
        jobs: Iterable[Args],
        compose: Callable[[Args], tuple[Meta, Outgoing]],
        tally: Tally,
    ) -> list[str]:
        """As the Client does, in one span for all: every job is a child of it."""
        with _sending(codec, plan, plan.topic) as span:
            context = span.get_span_context()

            def composed(args: Args) -> tuple[Meta, Outgoing]:
                meta, record = compose(args)
                return meta, carried(record, context)

            ids = super().enqueue_many(codec, plan, jobs, composed, tally)
            span.set_attribute(names.COUNT, len(ids))
            return ids


@contextmanager
def _sending(codec: JobCodec[Any], plan: QueuePlan, topic: str) -> Iterator[Span]:
    attributes = {
        names.SYSTEM: names.KAFKA,
        names.OPERATION: "send",
        names.OPERATION_TYPE: "send",
        names.TOPIC: topic,
        names.JOB: codec.schema.job_type,
        names.QUEUE: plan.name,
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
