"""Traces across real processes: producer, worker and its children, sent to a receiver of OTLP."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.fleet import Fleet
from tests.harness.served import Served
from tests.harness.span_receiver import receiving
from tests.harness.waiting import wait_until

from jobstream import App

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.proto.trace.v1.trace_pb2 import Span
    from tests.harness.span_receiver import Receiver

    from jobstream.broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka

LIMIT_S = 180.0


@dataclass(frozen=True)
class Mail:
    """As the program's."""

    to: str


PROGRAM = '''
"""An app that is traced by nothing but its settings."""
import os
from dataclasses import dataclass

from jobstream import App, Backoff, Context
from opentelemetry import trace

app = App(os.environ["TRACED_APP"])
mail = app.queue("mail", partitions=1)

@dataclass(frozen=True)
class Mail:
    to: str

@app.job(queue=mail, retry=Backoff(attempts=2, first="50ms", jitter=False))
async def fails(args: Mail, ctx: Context) -> None:
    with trace.get_tracer("user").start_as_current_span(f"user attempt {ctx.attempt}"):
        raise OSError("no such address")

@app.job(queue=mail)
async def child(args: Mail) -> None:
    pass

@app.job(queue=mail, executor="process")
def splits(args: Mail, ctx: Context) -> None:
    with trace.get_tracer("user").start_as_current_span("user in child"):
        ctx.enqueue(child, args)
'''
OWN = """
# In place of what the worker and its children would set up.
from jobstream_processors.execute import on_processes
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
on_processes.LEFT_S_MAX = 120.0  # a child of a busy machine sends late
"""
PRODUCER = '''
"""A service that has OpenTelemetry set up in the ordinary way."""
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import tracedshop as shop

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
with trace.get_tracer("web").start_as_current_span("POST /orders"):
    print(shop.fails.enqueue(shop.Mail("ann")).job_id)
with trace.get_tracer("web").start_as_current_span("POST /parcels"):
    print(shop.splits.enqueue(shop.Mail("bob")).job_id)
provider.shutdown()
'''


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def told(span: Span) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
        for pair in span.attributes
    }


def linked(span: Span) -> dict[str, bytes]:
    return {link.attributes[0].value.string_value: link.span_id for link in span.links}


def wait_for(receiver: Receiver, root: str, spans: dict[str, int]) -> None:
    """Wait until the trace with that root has so many spans of each of these names."""

    def told() -> bool:
        trace = receiver.trace_of(root)
        return all(len(trace.get(each, ())) >= count for each, count in spans.items())

    wait_until(told, f"{root} has {spans}", limit_s=LIMIT_S)


def environment_of(
    name: str, kafka: EmbeddedKafka, folder: Path, receiver: Receiver, every_ms: int = 100
) -> dict[str, str]:
    """Where the processes find all they need; their spans are sent every so often."""
    return {
        "TRACED_APP": name,
        "PYTHONPATH": str(folder),
        "JOBSTREAM_TRACING": "on",
        "JOBSTREAM_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "JOBSTREAM_STATE_DIR": str(folder / "state"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.address,
        "OTEL_BSP_SCHEDULE_DELAY": str(every_ms),
    }


def run_producer(folder: Path, environment: dict[str, str]) -> list[str]:
    command = [sys.executable, str(folder / "producer.py")]
    named = {"OTEL_SERVICE_NAME": "web"}
    ran = subprocess.run(
        command,
        env={**os.environ, **environment, **named},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def test_jobs_are_readable_traces_across_processes(
    kafka: EmbeddedKafka, tmp_path: Path, receiver: Receiver
) -> None:
    name = f"traced-{uuid.uuid4().hex[:8]}"
    (tmp_path / "tracedshop.py").write_text(PROGRAM)
    (tmp_path / "producer.py").write_text(PRODUCER)
    environment = environment_of(name, kafka, tmp_path, receiver)
    app = App(name, bootstrap_servers=kafka.bootstrap_servers)
    mail = app.queue("mail", partitions=1)
    app.declare("fails", Mail, queue=mail)
    served = Served(app)
    command = [sys.executable, "-m", "jobstream", "worker", "tracedshop:app"]
    with Fleet(command, tmp_path, environment) as fleet:
        worker = fleet.start()
        fails, splits = run_producer(tmp_path, environment)
        letter = served.letter_of(fails, LIMIT_S)
        served.end_of(splits, LIMIT_S)
        # Before it leaves: then it has but seconds for its last spans.
        wait_for(receiver, "POST /orders", {f"process {name}.mail": 2, f"settle {name}.mail": 2})
        wait_for(
            receiver,
            "POST /parcels",
            {f"send {name}.mail": 2, f"process {name}.mail": 2, "user in child": 1},
        )
        assert fleet.drain(worker) == 0
    served.close()

    _check_retries(receiver.trace_of("POST /orders"), name, fails, letter.headers)
    _check_children(receiver.trace_of("POST /parcels"), name, splits)


def test_a_drained_worker_lets_its_children_send_what_they_have(
    kafka: EmbeddedKafka, tmp_path: Path, receiver: Receiver
) -> None:
    name = f"traced-{uuid.uuid4().hex[:8]}"
    (tmp_path / "tracedshop.py").write_text(PROGRAM + OWN)
    app = App(name, bootstrap_servers=kafka.bootstrap_servers)
    splits = app.declare("splits", Mail, queue=app.queue("mail", partitions=1))
    served = Served(app)
    command = [sys.executable, "-m", "jobstream", "worker", "tracedshop:app"]
    # So late that nothing is sent before the processes leave.
    environment = environment_of(name, kafka, tmp_path, receiver, every_ms=600_000)
    with Fleet(command, tmp_path, environment) as fleet:
        worker = fleet.start()
        served.end_of(splits.enqueue(Mail("ann")).job_id, LIMIT_S)
        assert not receiver.spans
        assert fleet.drain(worker) == 0
    served.close()

    assert "user in child" in {span.name for _, span in receiver.spans}


def _check_retries(
    trace: dict[str, list[tuple[str, Span]]],
    name: str,
    job_id: str,
    headers: Any,  # noqa: ANN401 - a letter's headers
) -> None:
    """Failed, retried over the ladder, dead: one trace of two services."""
    topic = f"{name}.mail"
    counted = {span: [service for service, _ in found] for span, found in trace.items()}
    assert counted == {
        "POST /orders": ["web"],
        f"send {topic}": ["web"],
        f"wait {topic}": [name, name],
        f"process {topic}": [name, name],
        "execute fails": [name, name],
        "user attempt 1": [name],
        "user attempt 2": [name],
        f"settle {topic}": [name, name],
    }
    (_, root), (_, send) = trace["POST /orders"][0], trace[f"send {topic}"][0]
    first, second = (span for _, span in trace[f"process {topic}"])
    waits = [span for _, span in trace[f"wait {topic}"]]
    runs = [span for _, span in trace["execute fails"]]
    settles = [span for _, span in trace[f"settle {topic}"]]
    assert send.parent_span_id == root.span_id
    assert {span.parent_span_id for span in (first, second, *waits)} == {send.span_id}
    assert [span.parent_span_id for span in runs] == [first.span_id, second.span_id]
    assert [span.parent_span_id for span in settles] == [first.span_id, second.span_id]
    for attempt, run in enumerate(runs, start=1):
        assert trace[f"user attempt {attempt}"][0][1].parent_span_id == run.span_id
    assert linked(first) == {"enqueue": send.span_id}
    assert linked(second) == {"enqueue": send.span_id, "previous_attempt": first.span_id}
    assert first.end_time_unix_nano <= second.start_time_unix_nano
    waited_ns = waits[1].end_time_unix_nano - waits[1].start_time_unix_nano
    assert waited_ns >= 50_000_000, "the wait between two attempts is told in full"
    assert [told(span)["job.attempt"] for span in (first, second)] == [1, 2]
    assert [told(span)["job.outcome"] for span in (first, second)] == ["retry", "dead"]
    assert {told(span)["messaging.message.id"] for span in (send, first, second)} == {job_id}
    assert {told(span)["error.type"] for span in (first, second)} == {"builtins.OSError"}
    assert [event.name for event in second.events] == ["dead_letter"]
    assert [event.name for event in runs[1].events] == ["exception"]
    assert told(settles[1])["job.copy.topic"] == f"{topic}.dlq"
    assert headers["traceparent"].decode().split("-")[1:3] == [
        second.trace_id.hex(),
        second.span_id.hex(),
    ]
    assert send.span_id.hex() in headers["js-trace"].decode()


def _check_children(trace: dict[str, list[tuple[str, Span]]], name: str, job_id: str) -> None:
    """A job in a child process enqueues another: all of it below the first enqueue."""
    topic = f"{name}.mail"
    send, enqueued = (span for _, span in trace[f"send {topic}"])
    first, second = (span for _, span in trace[f"process {topic}"])
    (_, run), (service, user) = trace["execute splits"][0], trace["user in child"][0]
    assert service == name
    assert first.parent_span_id == send.span_id
    assert run.parent_span_id == first.span_id
    assert user.parent_span_id == run.span_id
    assert enqueued.parent_span_id == user.span_id
    assert second.parent_span_id == enqueued.span_id
    assert told(first)["messaging.message.id"] == job_id
    assert {told(span)["job.outcome"] for span in (first, second)} == {"done"}
