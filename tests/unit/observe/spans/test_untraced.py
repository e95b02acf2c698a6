"""Where nobody traces, no code of tracing runs on the way of a job: every call is looked at.

The same look at an app that traces finds such code in each job, so the look is no blind one.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import jobstream.observe.spans
import jobstream_processors.watch.tracing
from jobstream import App, Backoff
from jobstream.testing import memory
from jobstream_processors.settle.settler import Settler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from jobstream_processors.delivery import Delivery
    from jobstream_processors.ports import Trace

pytestmark = pytest.mark.pure("watches calls, and those of compiled code can't be watched")
JOBS = 1_000
FAIL_EVERY = 10
OF_TRACING = (
    *jobstream.observe.spans.__path__,
    jobstream_processors.watch.tracing.__file__,
    "opentelemetry",
)


@dataclass(frozen=True)
class Note:
    number: int


class Watched:
    """What was called meanwhile, in any thread, and the traces of the deliveries that settled."""

    def __init__(self) -> None:
        self.looks = False
        self.calls: Counter[tuple[str, str]] = Counter()
        """(file, function) → how often it was called."""
        self.traces: dict[Delivery, Trace | None] = {}

    def called(self, frame: FrameType, event: str, _argument: object) -> None:
        if event != "call" or not self.looks:
            return
        code = frame.f_code
        self.calls[code.co_filename, code.co_qualname] += 1
        if code is Settler.settle.__code__:
            self.traces |= {delivery: delivery.trace for delivery, _ in frame.f_locals["batch"]}

    @property
    def of_tracing(self) -> Counter[str]:
        """The functions of tracing among them."""
        return Counter(
            {
                function: count
                for (file, function), count in self.calls.items()
                if any(part in file for part in OF_TRACING)
            }
        )


@contextmanager
def watched() -> Iterator[Watched]:
    """Watch all threads that begin meanwhile, and the caller's, from when it is told to look."""
    found = Watched()
    # A log that a test before left set up asks for the span of each line.
    handlers, logging.root.handlers = logging.root.handlers, []
    threading.setprofile(found.called)
    sys.setprofile(found.called)
    try:
        yield found
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        logging.root.handlers = handlers


def run(*, tracing: bool) -> Watched:
    """Enqueue and run the jobs, a worker being there already; some fail, and are retried."""
    app = App("shop", tracing=tracing)
    mail = app.queue("mail", partitions=1)
    tried: Counter[int] = Counter()

    def handle(args: Note) -> None:
        tried[args.number] += 1
        if not args.number % FAIL_EVERY and tried[args.number] == 1:
            raise OSError

    @app.job(queue=mail, retry=Backoff(attempts=2, first="5s"))
    async def on_loop(args: Note) -> None:
        handle(args)

    @app.job(queue=mail, retry=Backoff(attempts=2, first="5s"))
    def in_threads(args: Note) -> None:
        handle(args)

    with watched() as found, memory(app) as jobs:
        jobs.run_until_idle()
        found.looks = True  # what a worker does once, at its start, is done
        for number in range(JOBS):
            (on_loop if number % 2 else in_threads).enqueue(Note(number))
        jobs.run_until_idle()
    assert sum(tried.values()) == JOBS + JOBS // FAIL_EVERY
    return found


def test_no_code_of_tracing_runs_where_nobody_traces() -> None:
    found = run(tracing=False)

    assert sum(found.calls.values()) > JOBS
    assert not found.of_tracing
    assert len(found.traces) == JOBS + JOBS // FAIL_EVERY
    assert set(found.traces.values()) == {None}


@pytest.mark.usefixtures("seen")
def test_the_look_finds_code_of_tracing_where_somebody_traces() -> None:
    found = run(tracing=True)

    assert found.of_tracing.total() > JOBS
    assert len(found.traces) == JOBS + JOBS // FAIL_EVERY
    assert None not in found.traces.values()
