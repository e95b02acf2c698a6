"""A line written in a traced job names the span that was active when it was written."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from jobstream import App
from jobstream.cli.log_lines import renderer
from jobstream.testing import memory

if TYPE_CHECKING:
    from tests.unit.observe.spans.conftest import Seen


@dataclass(frozen=True)
class Mail:
    to: str


def test_lines_name_the_active_span_of_their_job(seen: Seen) -> None:
    app = App("shop", tracing=True)
    lines: list[dict[str, Any]] = []
    form = renderer("json", colours=False)

    def tell() -> None:
        record = logging.makeLogRecord({"name": "shop", "msg": "sent"})
        lines.append(json.loads(form.format(record)))

    @app.job
    async def in_loop(_: Mail) -> None:
        tell()
        with trace.get_tracer("shop").start_as_current_span("own"):
            tell()

    @app.job
    def in_thread(_: Mail) -> None:
        tell()

    with memory(app) as jobs:
        in_loop.enqueue(Mail("ann"))
        jobs.run_until_idle()
        in_thread.enqueue(Mail("bob"))
        jobs.run_until_idle()
    tell()

    def ids(name: str) -> tuple[str, str]:
        context = seen.one(name).context
        return f"{context.trace_id:032x}", f"{context.span_id:016x}"

    assert [(n.get("job"), n.get("trace_id"), n.get("span_id")) for n in lines] == [
        ("in_loop", *ids("execute in_loop")),
        ("in_loop", *ids("own")),
        ("in_thread", *ids("execute in_thread")),
        (None, None, None),
    ]
