"""Jobs of an app that traces, run by the worker's own parts on a broker in memory."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from tests.unit.observe.spans.conftest import ids

from jobstream import App, Backoff, Cancel, Context, Dead, Secret, Snooze
from jobstream.observe.spans.job_trace import waits_since
from jobstream.testing import MemoryJobs, memory
from jobstream.testing.errors import NotIdle
from jobstream_processors.core.headers import Carried, parse, render
from jobstream_processors.core.letters import redriven
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from tests.unit.observe.spans.conftest import Seen


@dataclass(frozen=True)
class Mail:
    to: str
    password: str = "s3cret-of-ann"  # noqa: S105 - must be seen nowhere


@dataclass(frozen=True)
class Login:
    password: Annotated[str, Secret]


def made(**settings: Any) -> App:  # noqa: ANN401 - settings
    app = App("shop", **{"tracing": True, **settings})
    mail = app.queue("mail", partitions=1)
    tracer = trace.get_tracer("user")

    @app.job(queue=mail)
    async def sends(args: Mail) -> None:  # noqa: ARG001 - what a handler looks like
        with tracer.start_as_current_span("in handler"):
            await asyncio.sleep(0)

    @app.job(queue=mail)
    def threads(args: Mail, ctx: Context) -> None:
        with tracer.start_as_current_span("in thread"):
            ctx.enqueue(app.jobs["sends"], args)

    @app.job(queue=mail, retry=Backoff(attempts=2, first="10s", jitter=False))
    async def fails(args: Mail) -> None:  # noqa: ARG001 - likewise
        message = "no such address"
        raise OSError(message)

    @app.job(queue=mail, on_failure="hold_key", retry=Backoff(attempts=2, first="1m", jitter=False))
    async def parks(args: Mail, ctx: Context) -> None:  # noqa: ARG001 - likewise
        if ctx.attempt == 1:
            raise OSError

    @app.job(queue=mail)
    async def wants(args: Mail, ctx: Context) -> None:
        if args.to == "later" and ctx.seq == 0:
            raise Snooze(60)
        if args.to == "never":
            raise Cancel
        if args.to == "gone":
            raise Dead

    return app


@pytest.fixture
def app() -> App:
    return made()


def inside(parent: ReadableSpan, child: ReadableSpan) -> bool:
    return ids(parent.context) == ids(child.parent)


def links(span: ReadableSpan) -> dict[Any, tuple[str, str]]:
    return {(link.attributes or {})["job.link"]: ids(link.context) for link in span.links}


def test_a_job_is_one_trace_from_the_enqueue_to_its_settlement(
    app: App, jobs: MemoryJobs, seen: Seen
) -> None:
    with trace.get_tracer("user").start_as_current_span("request") as request:
        sent = app.jobs["sends"].enqueue(Mail("ann"))
    jobs.run_until_idle()

    send, wait, process = (seen.one(f"{what} shop.mail") for what in ("send", "wait", "process"))
    execute, settle, user = (
        seen.one("execute sends"),
        seen.one("settle shop.mail"),
        seen.one("in handler"),
    )
    assert ids(send.parent) == ids(request.get_span_context())
    assert inside(send, wait)
    assert inside(send, process)
    assert inside(process, execute)
    assert inside(execute, user)
    assert inside(process, settle)
    assert links(process) == {"enqueue": ids(send.context)}
    assert (send.kind, process.kind, settle.kind) == (
        SpanKind.PRODUCER,
        SpanKind.CONSUMER,
        SpanKind.CLIENT,
    )
    assert wait.end_time == process.start_time
    assert (execute.end_time or 0) <= (settle.start_time or 0) <= (process.end_time or 0)
    assert dict(send.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "shop.mail",
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 0,
        "messaging.message.id": sent.job_id,
        "job.type": "sends",
        "job.queue": "mail",
    }
    assert dict(process.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "shop.mail",
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 0,
        "messaging.consumer.group.name": "shop",
        "messaging.message.id": sent.job_id,
        "job.type": "sends",
        "job.queue": "mail",
        "job.attempt": 1,
        "job.redrive": 0,
        "job.outcome": "done",
    }


def test_each_attempt_is_a_child_of_the_enqueue_and_linked_to_the_attempt_before(
    app: App, jobs: MemoryJobs, seen: Seen
) -> None:
    app.jobs["fails"].enqueue(Mail("ann"))
    jobs.run_until_idle()

    send = seen.one("send shop.mail")
    first, second = seen.named("process shop.mail")
    assert inside(send, first)
    assert inside(send, second)
    assert links(second) == {"enqueue": ids(send.context), "previous_attempt": ids(first.context)}
    assert [(span.attributes or {})["job.attempt"] for span in (first, second)] == [1, 2]
    assert [(span.attributes or {})["job.outcome"] for span in (first, second)] == ["retry", "dead"]
    assert {span.status.status_code for span in (first, second)} == {StatusCode.ERROR}
    again, ends = seen.named("settle shop.mail")
    assert (again.attributes or {})["job.copy.topic"] == "shop.mail.retry.5s"
    assert (again.attributes or {})["job.delay_ms"] == 10_000
    assert (ends.attributes or {})["job.copy.topic"] == "shop.mail.dlq"
    (dead,) = second.events
    assert dead.name == "dead_letter"
    assert (dead.attributes or {})["job.reason"] == "attempts_exhausted"
    (raised,) = seen.named("execute fails")[0].events
    told = raised.attributes or {}
    assert (raised.name, told["exception.type"]) == ("exception", "builtins.OSError")
    assert "no such address" in str(told["exception.stacktrace"])


def test_a_dead_job_that_is_redriven_goes_on_in_its_trace(
    app: App, jobs: MemoryJobs, seen: Seen
) -> None:
    app.jobs["wants"].enqueue(Mail("gone"))
    jobs.run_until_idle()
    (letter,) = jobs.broker.records("shop.mail.dlq")
    carried = redriven(parse(letter.headers()))
    headers = render(carried, letter.headers())
    jobs.broker.publish([Outgoing("shop.mail", b"a", letter.value(), 0, headers)])
    jobs.run_until_idle()

    send = seen.one("send shop.mail")
    first, second = seen.named("process shop.mail")
    assert inside(send, second)
    assert (second.attributes or {})["job.redrive"] == 1
    assert links(second)["previous_attempt"] == ids(first.context)


def test_an_attempt_in_place_is_a_span_of_its_own_with_its_wait(
    app: App, jobs: MemoryJobs, seen: Seen
) -> None:
    app.jobs["parks"].enqueue(Mail("ann"), key="ann")
    jobs.run_until_idle()

    first, second = seen.named("process shop.mail")
    waits = seen.named("wait shop.mail")
    assert links(second)["previous_attempt"] == ids(first.context)
    assert (second.attributes or {})["job.attempt"] == 2
    assert sorted(str((span.attributes or {})["job.attempt"]) for span in waits) == ["1", "2"]


def test_wanted_outcomes_are_no_errors(app: App, jobs: MemoryJobs, seen: Seen) -> None:
    for to in ("later", "never"):
        app.jobs["wants"].enqueue(Mail(to))
    jobs.run_until_idle()

    ends = sorted(str((s.attributes or {})["job.outcome"]) for s in seen.named("process shop.mail"))
    assert ends == ["cancelled", "done", "snooze"]
    assert {span.status.status_code for span in seen.all()} == {StatusCode.UNSET}


def test_child_jobs_of_a_handler_in_a_thread_continue_the_trace(
    app: App, jobs: MemoryJobs, seen: Seen
) -> None:
    app.jobs["threads"].enqueue(Mail("ann"))
    jobs.run_until_idle()

    _, child = seen.named("send shop.mail")
    assert inside(seen.one("in thread"), child)
    assert inside(seen.one("execute threads"), seen.one("in thread"))
    assert inside(child, seen.named("process shop.mail")[1])
    assert len({ids(span.context)[0] for span in seen.all()}) == 1


def test_many_jobs_are_sent_in_one_span(app: App, jobs: MemoryJobs, seen: Seen) -> None:
    app.jobs["sends"].enqueue_many([Mail("ann"), Mail("bob")])
    jobs.run_until_idle()

    send = seen.one("send shop.mail")
    assert (send.attributes or {})["messaging.batch.message_count"] == 2
    assert [inside(send, span) for span in seen.named("process shop.mail")] == [True, True]


def test_a_delayed_job_shows_how_long_it_waited_on_the_ladder(
    app: App, jobs: MemoryJobs, seen: Seen
) -> None:
    began_ms = jobs.clock.broker_ms()
    sent = app.jobs["sends"].enqueue(Mail("ann"), delay="1h")
    jobs.run_until_idle()

    send, wait = seen.one(f"send {sent.topic}"), seen.one("wait shop.mail")
    assert sent.topic == "shop.mail.retry.1h"
    assert inside(send, wait)
    # By the broker's clock, which stands still meanwhile; spans of a producer are by its machine's.
    assert wait.start_time == began_ms * 1_000_000
    (record,) = jobs.broker.records("shop.mail")
    assert record.timestamp()[1] - began_ms >= 3_600_000


def test_no_span_holds_arguments(app: App, jobs: MemoryJobs, seen: Seen) -> None:
    for name in app.jobs:
        app.jobs[name].enqueue(Mail("ann"), key="key-of-ann")
    jobs.run_until_idle()

    assert len(seen.all()) > 20
    for text in ("s3cret-of-ann", "key-of-ann"):
        assert not [span.name for span in seen.all() if text in span.to_json()]


def test_a_sampler_that_fails_fails_no_job_and_is_told_of_once(
    app: App,
    jobs: MemoryJobs,
    seen: Seen,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for to in ("ann", "later"):
        app.jobs["wants"].enqueue(Mail(to))

    def broken(*_: object, **__: object) -> None:
        message = "broken"
        raise RuntimeError(message)

    monkeypatch.setattr("opentelemetry.sdk.trace.sampling.ParentBased.should_sample", broken)
    jobs.run_until_idle()

    assert len(jobs.assert_done(app.jobs["wants"])) == 2
    assert [span.name for span in seen.all()] == ["send shop.mail"] * 2
    assert [line.message for line in caplog.records] == ["tracing_failed"]


def test_a_wait_begins_with_the_append_the_enqueue_or_the_attempt_before() -> None:
    first, hopped = Carried(), Carried(due_ms=5, enqueued_ms=10)
    retried, redriven_late = (
        Carried(seq=1, due_ms=5, enqueued_ms=10),
        Carried(redrive=1, due_ms=5),
    )

    assert waits_since(first, 20, None) == 20
    assert waits_since(hopped, 20, None) == 10
    assert waits_since(retried, 20, 15) == 15
    assert waits_since(retried, 20, None) == 20, "tracing was off when it was retried"
    assert waits_since(redriven_late, 20, 15) == 20, "it lay dead; nobody waited"


def test_a_run_that_is_cut_off_ends_its_spans(app: App, seen: Seen) -> None:
    started = threading.Event()

    @app.job(queue=app.queues["mail"], timeout="10m")
    async def hangs(args: Mail) -> None:  # noqa: ARG001 - what a handler looks like
        started.set()
        await asyncio.Event().wait()

    app.settings = replace(app.settings, drain_ms=0)
    with memory(app) as jobs:
        hangs.enqueue(Mail("ann"))
        while not started.is_set():  # A busy machine may not come to it the first time.
            with pytest.raises(NotIdle):
                jobs.run_until_idle(timeout_s=0.2)
        assert not seen.named("process shop.mail")

    process, execute = seen.one("process shop.mail"), seen.one("execute hangs")
    assert (process.attributes or {})["job.outcome"] == "left"
    assert inside(process, execute)
    assert not seen.named("settle shop.mail")


def test_a_secret_that_an_exception_tells_is_in_no_span(app: App, seen: Seen) -> None:
    @app.job(queue=app.queues["mail"], retry=Backoff(attempts=1))
    async def logs_in(args: Login) -> None:
        message = f"refused: {args.password}"
        raise PermissionError(message)

    with memory(app) as jobs:
        logs_in.enqueue(Login("canary-in-the-mine"))
        jobs.run_until_idle()
        jobs.assert_dead(logs_in)

    (raised,) = seen.one("execute logs_in").events
    assert (raised.attributes or {})["exception.message"] == "refused: ***"
    assert not [span.name for span in seen.all() if "canary-in-the-mine" in span.to_json()]
