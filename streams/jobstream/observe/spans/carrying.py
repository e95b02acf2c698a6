"""Trace context in headers, as the W3C writes it, and where a job's trace began, in `js-trace`.

Headers are hostile input: what can't be read counts as not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.trace.span import NonRecordingSpan, SpanContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream_processors.core.headers import Headers
    from jobstream_processors.ports import Outgoing

PARENT, STATE = "traceparent", "tracestate"
CHARACTERS_MAX = 512
"""Of either header, as the W3C asks for; a longer one is ignored."""
DIGITS_MAX = 15
W3C = TraceContextTextMapPropagator()


def read(headers: Sequence[tuple[str, bytes | None]] | None) -> SpanContext | None:
    """The trace context in a record's headers, None if none can be read."""
    texts: dict[str, str] = {}
    for name, raw in headers or ():
        if name not in {PARENT, STATE}:
            continue
        if name in texts:
            return None
        texts[name] = (raw or b"")[: CHARACTERS_MAX + 1].decode("ascii", "replace")
    return _parsed(texts) if PARENT in texts else None


def read_first(text: str) -> tuple[SpanContext | None, int | None]:
    """(where the trace began, when this copy was made in epoch ms), as far as they can be read."""
    parent, _, left = text.partition(" ")
    is_number = left.isascii() and left.isdigit() and len(left) <= DIGITS_MAX
    return (_parsed({PARENT: parent}) if parent else None), (int(left) if is_number else None)


def first_text(first: SpanContext, left_ms: int) -> str:
    """What `read_first` reads: one context, and when a copy left."""
    return f"{_written(first)[PARENT]} {left_ms}"


def with_context(headers: Headers | None, context: SpanContext) -> Headers | None:
    """The headers with `context` in place of whatever context they had."""
    if not context.is_valid:
        return headers
    ours = [(name, text.encode()) for name, text in _written(context).items()]
    return ours + [pair for pair in headers or () if pair[0] not in {PARENT, STATE}]


def carried(record: Outgoing, context: SpanContext) -> Outgoing:
    """The record with `context` in its headers."""
    return record._replace(headers=with_context(record.headers, context))


def within(context: SpanContext | None) -> Context:
    """A context whose current span is that one, elsewhere; an empty one for None."""
    if context is None:
        return Context()
    return set_span_in_context(NonRecordingSpan(context), Context())


def _parsed(texts: dict[str, str]) -> SpanContext | None:
    if len(texts[PARENT]) > CHARACTERS_MAX:
        return None
    if len(texts.get(STATE, "")) > CHARACTERS_MAX:
        del texts[STATE]
    found = get_current_span(W3C.extract(texts, Context())).get_span_context()
    return found if found.is_valid else None


def _written(context: SpanContext) -> dict[str, str]:
    texts: dict[str, str] = {}
    W3C.inject(texts, within(context))
    return texts
