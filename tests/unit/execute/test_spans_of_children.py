"""Spans made in a child process reach their receiver though the worker leaves at once."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanContext, TraceFlags
from tests.harness.span_receiver import receiving

from jobstream.cli.app_name import AppName
from jobstream.cli.loading import load_app
from jobstream.kafka.client.broker_clock import MACHINE
from jobstream.observe.spans.carrying import with_context
from jobstream.observe.spans.child_spans import ChildEntry
from jobstream_processors.core.outcome import DONE
from jobstream_processors.execute.on_processes import ProcessExecutor

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from tests.unit.execute.conftest import Ear

    from jobstream_processors.delivery import Delivery

LIMIT_S = 60.0
MODULE = """
import os
from dataclasses import dataclass
from jobstream import App
from opentelemetry import trace
{own}
app = App("parcels")

@dataclass(frozen=True)
class Parcel:
    to: str

@app.job
def packs(parcel: Parcel) -> None:
    with trace.get_tracer("user").start_as_current_span(f"packs for {{parcel.to}}"):
        pass
"""
OWN = """
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

if os.getpid() != {worker}:
    provider = TracerProvider(resource=Resource({{"service.name": "own"}}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
"""
PARENT = SpanContext(1 << 100, 1 << 50, is_remote=False, trace_flags=TraceFlags(1))
HEADERS = with_context(None, PARENT) or []


def enter(_: Delivery) -> ChildEntry:
    """What tracing hands to a child with each job."""
    return ChildEntry(HEADERS, "parcels")


def spans_of(
    ear: Ear, folder: Path, monkeypatch: pytest.MonkeyPatch, own: str
) -> list[tuple[str, str, int]]:
    """(service, name, trace) of what a child sent that ran one job and was let go of at once."""
    name = f"traced_{os.getpid()}_{folder.name}"
    monkeypatch.syspath_prepend(str(folder))
    (folder / f"{name}.py").write_text(MODULE.format(own=own.format(worker=os.getpid())))
    ear.shop.handle("packs")
    ear.shop.specs["packs"] = load_app(AppName(f"{name}:app")).specs()["packs"]

    async def main() -> None:
        executor = ProcessExecutor(
            1, ear.ended, machine=MACHINE, enter=enter, leave_s=lambda: LIMIT_S
        )
        try:
            executor.submit(ear.delivery("first", "packs"))
            assert await ear.outcome("first") == DONE
        finally:
            executor.close()

    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.address)
        asyncio.run(main())
    return [
        (service, span.name, int.from_bytes(span.trace_id, "big"))
        for service, span in receiver.spans
    ]


def test_the_last_spans_of_a_child_are_sent(
    ear: Ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = spans_of(ear, tmp_path, monkeypatch, "")

    assert found == [("parcels", "packs for ann", PARENT.trace_id)]


def test_those_of_the_users_own_provider_are_sent(
    ear: Ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = spans_of(ear, tmp_path, monkeypatch, OWN)

    assert found == [("own", "packs for ann", PARENT.trace_id)]
