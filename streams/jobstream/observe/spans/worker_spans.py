"""The spans of a worker: each attempt of a job, how long it waited, ran, and took to be settled.

It hooks into the worker's own callbacks. Where user code that makes or takes spans fails, a job
goes on without its trace.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from opentelemetry.context import attach
from opentelemetry.trace import set_span_in_context

from jobstream.observe.spans.carrying import with_context
from jobstream.observe.spans.child_spans import ChildEntry
from jobstream.observe.spans.job_trace import JobTrace
from jobstream_processors.current import name_job
from jobstream_processors.watch.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.trace import Tracer

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.context import RunFacts
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Decided, Delivery
    from jobstream_processors.execute.running import Ended
    from jobstream_processors.ports import Record
    from jobstream_processors.settle.thread import Settles

log = logging.getLogger("jobstream.worker")
_Told = ParamSpec("_Told")
_T = TypeVar("_T")


class WorkerTracing(Tracing):
    """The hooks of one worker that is traced."""

    def __init__(
        self, tracer: Tracer, group: str, service: str, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._tracer = tracer
        self._group = group
        self._service = service
        self._now_ns = now_ns
        self._guard = Guard()

    def received(self, record: Record) -> JobTrace:
        """The trace of a delivery that begins here."""
        return JobTrace(self._tracer, self._group, self._now_ns, record.timestamp()[1])

    def enter(self, delivery: Delivery, /) -> None:
        """The run begins: spans that its handler makes are children of its own."""
        name_job(delivery)
        self._guard(delivery, lambda trace: attach(set_span_in_context(trace.runs(delivery))))

    def enter_child(self, delivery: Delivery, /) -> Callable[[RunFacts], object] | None:
        """The run is about to be handed to a child process."""

        def entry(trace: JobTrace) -> ChildEntry | None:
            headers = with_context(None, trace.runs(delivery).get_span_context())
            return ChildEntry(headers, self._service) if headers else None

        return self._guard(delivery, entry)

    def ended(self, ended: Ended) -> Ended:
        """`ended`, and the span of the run is over; of the attempt as well if it is left undone."""

        def watched(delivery: Delivery, outcome: Outcome) -> None:
            self._guard(delivery, JobTrace.ran, outcome)
            ended(delivery, outcome)
            if not delivery.decided:
                self._guard(delivery, JobTrace.left)

        return watched

    def put(self, put: Callable[[list[Decided]], None]) -> Callable[[list[Decided]], None]:
        """`put`, and each delivery is about to be settled."""
        return partial(self._put, put)

    def settler(self, settler: Settles) -> Settles:
        """A settler that ends the spans of what is settled."""
        return WatchedSettler(settler, self._guard)

    def _put(self, put: Callable[[list[Decided]], None], batch: list[Decided]) -> None:
        for delivery, decision in batch:
            self._guard(delivery, JobTrace.decided, delivery, decision)
        put(batch)


class WatchedSettler:
    """Settles as the one it watches does."""

    def __init__(self, settler: Settles, guard: Guard) -> None:
        self._settler = settler
        self._guard = guard
        self._late: set[Delivery] = set()

    @property
    def waits(self) -> bool:
        """Whether some of what it was given waits for acknowledgements."""
        return self._settler.waits

    def is_adrift(self, lane: Lane) -> bool:
        """Whether brokers may still append what `lane`, which has ended, sent."""
        return self._settler.is_adrift(lane)

    def settle(self, batch: Sequence[Decided]) -> tuple[list[Decided], list[Decided]]:
        """(settled, to be tried again); the rest waits for a later call, or its lane has ended."""
        settled, again = self._settler.settle(batch)
        rest = self._late | {delivery for delivery, _ in batch}
        for delivery, decision in settled:
            rest.discard(delivery)
            self._guard(delivery, JobTrace.settled, decision)
        for delivery, _ in again:
            rest.discard(delivery)
            self._guard(delivery, JobTrace.again)
        self._late = {delivery for delivery in rest if delivery.lane.live}
        for delivery in rest - self._late:
            self._guard(delivery, JobTrace.left)
        return settled, again


class Guard:
    """Lets no fault of a sampler or a span processor through; logs the first of them."""

    def __init__(self) -> None:
        self._told = False

    def __call__(
        self,
        delivery: Delivery,
        act: Callable[Concatenate[JobTrace, _Told], _T],
        *args: _Told.args,
        **named: _Told.kwargs,
    ) -> _T | None:
        """What `act` makes of the delivery's trace; None without one, which a fault leaves."""
        trace = delivery.trace
        if not isinstance(trace, JobTrace):
            return None
        try:
            return act(trace, *args, **named)
        except BaseException as error:  # Whatever it is, the job goes on.
            delivery.untraced()
            if not self._told:
                self._told = True
                log.warning("tracing_failed", exc_info=error, extra={"job_id": delivery.id})
            return None
