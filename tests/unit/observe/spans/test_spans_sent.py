"""Where spans go, and that tracing keeps no process and needs no library where it is off."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from jobstream import App
from jobstream.errors import ConfigError
from jobstream.observe import spans as tracing

LIMIT_S = 120.0
AWAY = """
from jobstream import Settings
from jobstream.observe.spans import spans_sent
from opentelemetry import trace

with spans_sent("shop", Settings.load(tracing=True)):
    with trace.get_tracer("user").start_as_current_span("lost") as span:
        print(span.is_recording())
"""
NAMED = """
from jobstream import Settings
from jobstream.observe.spans import spans_sent
from opentelemetry import trace

with spans_sent("shop", Settings.load(tracing=True)):
    print(trace.get_tracer_provider().resource.attributes["service.name"])
"""
OWN = """
from jobstream import Settings
from jobstream.observe.spans import spans_sent
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

mine = TracerProvider()
trace.set_tracer_provider(mine)
with spans_sent("shop", Settings.load(tracing=True)):
    print(trace.get_tracer_provider() is mine)
"""
OFF = """
import sys
from jobstream import App
from jobstream.observe.spans import spans_sent
from jobstream.observe.spans.of_workers import tracing_of

app = App("shop")
with spans_sent(app.name, app.settings):
    tracing_of(app.name, app.settings)
    app.client
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
NOBODY = "http://127.0.0.1:9"
"""Port 9 (discard) is served nowhere: an export is refused at once, and tried again."""


def said(program: str, **environment: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY, **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    return ran.stdout.strip()


def test_a_receiver_that_is_away_keeps_no_process() -> None:
    assert said(AWAY) == "True"


def test_the_service_is_the_app_unless_it_is_named() -> None:
    assert said(NAMED, OTEL_SERVICE_NAME="mailer") == "mailer"


def test_spans_go_where_user_code_sends_them() -> None:
    assert said(OWN) == "True"


def test_nothing_of_the_library_is_loaded_where_tracing_is_off() -> None:
    assert said(OFF) == "[]"


def test_the_sdk_can_be_switched_off_by_its_own_variable() -> None:
    assert said(AWAY, OTEL_SDK_DISABLED="true") == "False"


def test_a_library_that_is_missing_is_told_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def nowhere(name: str) -> object:
        return None if name.startswith("opentelemetry") else found(name)

    monkeypatch.setattr(tracing, "find_spec", nowhere)
    with pytest.raises(ConfigError, match=r"pip install .jobstream\[otel\]"):
        _ = App("shop", tracing=True).client
