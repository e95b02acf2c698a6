"""Trace context in headers: what a producer wrote is honoured, what can't be read is ignored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace
from tests.unit.observe.spans.conftest import ids

from jobstream import App, Backoff
from jobstream.enqueue.composing import JobKind, When
from jobstream.testing import MemoryJobs, memory
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from tests.unit.observe.spans.conftest import Seen

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{SPAN}-01".encode()
UNSAMPLED = f"00-{TRACE}-{SPAN}-00".encode()


@dataclass(frozen=True)
class Mail:
    to: str


def made(*, tracing: bool) -> App:
    app = App("shop", tracing=tracing)
    mail = app.queue("mail", partitions=1)

    @app.job(queue=mail, retry=Backoff(attempts=2, first="10s", jitter=False))
    async def send(args: Mail) -> None:
        if args.to == "nowhere":
            raise OSError

    return app


@pytest.fixture
def app() -> App:
    return made(tracing=True)


def foreign(jobs: MemoryJobs, app: App, headers: list[tuple[str, bytes]], to: str = "bob") -> None:
    """Put a job on its queue as a producer in another language would, with these headers."""
    job = app.jobs["send"]
    meta, record = app.client.compose(
        JobKind(job.codec, app.plan(job.queue), job.name), Mail(to), When()
    )
    assert record.headers is None
    jobs.broker.publish([Outgoing(record.topic, meta.id.encode(), record.value, 0, headers)])


def test_context_of_a_foreign_producer_is_honoured(app: App, jobs: MemoryJobs, seen: Seen) -> None:
    foreign(jobs, app, [("x", b"1"), ("traceparent", SAMPLED), ("tracestate", b"vendor=7")])
    jobs.run_until_idle()

    process = seen.one("process shop.mail")
    assert ids(process.parent) == (TRACE, SPAN)
    assert process.context is not None
    assert process.context.trace_state.to_header() == "vendor=7"


def test_a_trace_that_is_not_sampled_makes_no_spans_and_stays_so(
    app: App, jobs: MemoryJobs, seen: Seen
) -> None:
    foreign(jobs, app, [("traceparent", UNSAMPLED)], "nowhere")
    jobs.run_until_idle()

    (letter,) = jobs.broker.records("shop.mail.dlq")
    told = dict(letter.headers() or ())
    assert not seen.all()
    assert (told["traceparent"] or b"").startswith(f"00-{TRACE}-".encode())
    assert (told["traceparent"] or b"").endswith(b"-00")
    assert (told["js-trace"] or b"").startswith(UNSAMPLED)


@pytest.mark.parametrize(
    "headers",
    [
        [("traceparent", b"")],
        [("traceparent", b"\xff\xfe" * 40)],
        [("traceparent", SAMPLED.replace(b"0af7", b"0AF7"))],
        [("traceparent", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01")],
        [("traceparent", b"ff" + SAMPLED[2:])],
        [("traceparent", SAMPLED + b"-" + b"x" * 100_000)],
        [("traceparent", SAMPLED), ("traceparent", SAMPLED)],
        [("tracestate", b"a=b")],
        [("js-trace", b"nonsense 99999999999999999999")],
        [("js-trace", "\u0661\u0662 \u0661".encode())],
    ],
)
def test_headers_that_tell_no_trace_are_ignored(
    app: App, jobs: MemoryJobs, seen: Seen, headers: list[tuple[str, bytes]]
) -> None:
    foreign(jobs, app, headers)
    jobs.run_until_idle()

    process = seen.one("process shop.mail")
    assert process.parent is None
    assert (process.attributes or {})["job.outcome"] == "done"
    assert ids(seen.one("wait shop.mail").parent) == ids(process.context)
    assert not jobs.broker.records("shop.mail.dlq")


def test_a_state_that_is_too_long_is_dropped_alone(app: App, jobs: MemoryJobs, seen: Seen) -> None:
    foreign(jobs, app, [("traceparent", SAMPLED), ("tracestate", b"a=" + b"b" * 100_000)])
    jobs.run_until_idle()

    assert ids(seen.one("process shop.mail").parent) == (TRACE, SPAN)


def test_an_undecodable_record_has_a_span_that_ends_in_a_dead_letter(
    jobs: MemoryJobs, seen: Seen
) -> None:
    jobs.broker.publish([Outgoing("shop.mail", b"a", b"\x00", 0, [("traceparent", SAMPLED)])])
    jobs.run_until_idle()

    process = seen.one("process shop.mail")
    assert ids(process.parent) == (TRACE, SPAN)
    assert (process.attributes or {})["job.type"] == "_unknown"
    assert [(e.attributes or {})["job.reason"] for e in process.events] == ["undecodable"]


def test_nothing_is_traced_nor_written_where_tracing_is_off(seen: Seen) -> None:
    app = made(tracing=False)
    with memory(app) as jobs, trace.get_tracer("user").start_as_current_span("request"):
        app.jobs["send"].enqueue(Mail("nowhere"))
        jobs.run_until_idle()
        (sent, _) = jobs.broker.records("shop.mail")
        (letter,) = jobs.broker.records("shop.mail.dlq")

    assert [span.name for span in seen.all()] == ["request"]
    assert not sent.headers()
    assert not {"traceparent", "js-trace"} & dict(letter.headers() or ()).keys()
