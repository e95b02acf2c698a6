"""The spans of one delivery, attempt by attempt, from its record to its settlement.

`wait` stands beside `process`, under the enqueue: a job that waits is not processed yet. `execute`
and `settle` stand inside `process`. It is used by one thread at a time, as a delivery is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from opentelemetry.trace import Link, SpanKind, Status, StatusCode, set_span_in_context

from jobstream.observe.spans import span_names as names
from jobstream.observe.spans.carrying import first_text, read, read_first, with_context, within
from jobstream_processors.core.decide import (
    CountCrash,
    DeadLetter,
    End,
    Finish,
    Retry,
    RetryInPlace,
)
from jobstream_processors.core.outcome import Crashed, Raised, TimedOut, Unstarted

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span, SpanContext, Tracer

    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.headers import Carried, Headers
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery

NS = 1_000_000
"""Nanoseconds in a millisecond."""


class JobTrace:
    """The spans of one delivery: implements `jobstream_processors.watch.tracing.Trace`."""

    __slots__ = (
        "_appended_ms",
        "_copied",
        "_execute",
        "_failure",
        "_first",
        "_group",
        "_left_ms",
        "_now_ns",
        "_previous",
        "_process",
        "_settle",
        "_tracer",
    )

    def __init__(
        self, tracer: Tracer, group: str, now_ns: Callable[[], int], appended_ms: int
    ) -> None:
        self._tracer = tracer
        self._group = group
        self._now_ns = now_ns
        self._appended_ms = appended_ms
        self._first: SpanContext | None = None
        """Where the trace began; the parent of every attempt."""
        self._previous: SpanContext | None = None
        """The attempt before this one, where both ran here in place."""
        self._process: Span | None = None
        self._execute: Span | None = None
        self._settle: Span | None = None
        self._failure: tuple[str, str] | None = None
        """(error, message) of the run that failed."""
        self._left_ms = 0
        """When the attempt was decided: the copy that replaces it waits from then on."""
        self._copied = ""

    def runs(self, delivery: Delivery) -> Span:
        """The handler begins; returns the span of its run."""
        process = self._begun(delivery)
        if not process.is_recording():
            return process  # not sampled: what the handler makes is not either
        inside = set_span_in_context(process)
        name = delivery.spec.name if delivery.spec is not None else ""
        self._execute = self._tracer.start_span(f"execute {name}", inside)
        return self._execute

    def ran(self, outcome: Outcome) -> None:
        """The handler has ended, or is given up."""
        span, self._execute = self._execute, None
        self._failure = failure = _failure(outcome)
        if span is None:
            return
        if failure is not None:
            if isinstance(outcome, Raised):
                told = {"type": outcome.error, "message": outcome.message}
                told["stacktrace"] = outcome.spot.traceback
                span.add_event(names.EXCEPTION, {f"exception.{k}": v for k, v in told.items()})
            _fail(span, *failure)
        span.end()

    def decided(self, delivery: Delivery, decision: Decision) -> None:
        """The attempt's end is decided, with or without a run, and is to be settled."""
        process = self._begun(delivery)
        self._left_ms = self._now_ns() // NS
        if not process.is_recording():
            return
        failure = self._failure
        if isinstance(decision, DeadLetter):
            carried = decision.carried
            failure = (carried.error or carried.reason, carried.message)
            told = {
                names.REASON: carried.reason,
                names.ERROR: failure[0],
                "message": carried.message,
            }
            process.add_event(names.DEAD_LETTER, told)
        elif isinstance(decision, Retry) and delivery.spec is None:
            failure = (decision.carried.error, decision.carried.message)
        elif isinstance(decision, End):
            process.set_attribute(names.REASON, decision.reason)
        process.set_attribute(names.OUTCOME, _outcome(delivery, decision))
        if failure is not None:
            _fail(process, *failure)
        topic = delivery.origin[0]
        attributes = {
            names.SYSTEM: names.KAFKA,
            names.OPERATION: "settle",
            names.OPERATION_TYPE: "settle",
            names.TOPIC: topic,
            names.GROUP: self._group,
        }
        inside = set_span_in_context(process)
        self._settle = self._tracer.start_span(
            f"settle {topic}", inside, SpanKind.CLIENT, attributes
        )

    def carry(
        self, carried: Carried, headers: Headers | None, topic: str
    ) -> tuple[Carried, Headers | None]:
        """The copy that goes to `topic` continues this attempt's trace."""
        process, first = self._process, self._first
        if process is None or first is None or not first.is_valid:
            return carried, headers
        self._copied = topic
        told = replace(carried, trace=first_text(first, self._left_ms))
        return told, with_context(headers, process.get_span_context())

    def again(self) -> None:
        """Not everything was acknowledged: it is tried again."""
        if self._settle is not None:
            self._settle.add_event(names.AGAIN)

    def settled(self, decision: Decision) -> None:
        """All it wrote is acknowledged; a job retried in place begins another attempt."""
        if self._settle is not None:
            self._settle.set_attributes(_written(decision, self._copied))
            if self._copied:
                self._settle.add_event(names.COPIED, {names.TOPIC: self._copied})
        self._end()

    def left(self) -> None:
        """Nothing is settled: the worker leaves, or lost the partition. The job comes again."""
        if self._process is not None:
            self._process.set_attribute(names.OUTCOME, "left")
        self._end()

    def _end(self) -> None:
        for span in (self._execute, self._settle, self._process):
            if span is not None:
                span.end()
        if self._process is not None:
            self._previous = self._process.get_span_context()
        self._execute = self._settle = self._process = self._failure = None
        self._copied = ""

    def _begun(self, delivery: Delivery) -> Span:
        """The span of the attempt, and the wait before it, made at first need."""
        if self._process is not None:
            return self._process
        now_ns = self._now_ns()
        here = read(delivery.headers)
        first, left_ms = read_first(delivery.carried.trace)
        first = self._first or first or here
        topic = delivery.origin[0]
        outside = within(first)
        process = self._tracer.start_span(
            f"process {topic}",
            outside,
            SpanKind.CONSUMER,
            self._attributes(delivery),
            _links(first, self._previous or here),
            now_ns,
        )
        self._process = process
        self._first = first or process.get_span_context()
        if process.is_recording():
            since_ms = waits_since(delivery.carried, self._appended_ms, left_ms)
            since_ns = (self._left_ms if self._previous else since_ms) * NS
            # A record of a producer without a trace: nothing but the attempt could be its parent.
            beside = outside if first is not None else set_span_in_context(process)
            wait = self._tracer.start_span(
                f"wait {topic}", beside, start_time=min(since_ns, now_ns)
            )
            wait.set_attributes({names.TOPIC: topic, names.ATTEMPT: delivery.carried.attempt})
            wait.end(now_ns)
        return process

    def _attributes(self, delivery: Delivery) -> dict[str, str | int]:
        topic, partition, offset = delivery.origin
        reader, carried = delivery.reader, delivery.carried
        return {
            names.SYSTEM: names.KAFKA,
            names.OPERATION: "process",
            names.OPERATION_TYPE: "process",
            names.TOPIC: topic,
            names.PARTITION: str(partition),
            names.OFFSET: offset,
            names.GROUP: self._group,
            names.MESSAGE_ID: delivery.id,
            names.JOB: reader.job_type if reader is not None else "_unknown",
            names.QUEUE: delivery.lane.queue,
            names.ATTEMPT: carried.attempt,
            names.REDRIVE: carried.redrive,
        }


def waits_since(carried: Carried, appended_ms: int, left_ms: int | None) -> int:
    """When the wait for an attempt began: with its append, its first one, or the attempt before.

    `left_ms` is when a copy was made, as far as that is known.
    """
    if carried.seq and left_ms is not None:
        return left_ms
    # A job that came down the ladder is appended here only now.
    return appended_ms if carried.seq or carried.enqueued_ms is None else carried.enqueued_ms


def _links(first: SpanContext | None, before: SpanContext | None) -> list[Link]:
    """To the enqueue, as the conventions ask for, and to the attempt before, if there was one."""
    links = [Link(first, {names.LINK: names.BY_ENQUEUE})] if first is not None else []
    if before is not None and (first is None or before.span_id != first.span_id):
        links.append(Link(before, {names.LINK: names.BY_ATTEMPT}))
    return links


def _failure(outcome: Outcome) -> tuple[str, str] | None:
    match outcome:
        case Raised():
            return outcome.error, outcome.message
        case TimedOut(after_ms):
            return "jobstream.Timeout", f"still running after {after_ms} ms"
        case Crashed(how):
            return "jobstream.Crashed", how
        case Unstarted(_, how):
            return "jobstream.ChildNotStarted", how
        case _:
            return None


def _fail(span: Span, error: str, message: str) -> None:
    span.set_attribute(names.ERROR, error)
    span.set_status(Status(StatusCode.ERROR, message))


def _outcome(delivery: Delivery, decision: Decision) -> str:
    match decision:
        case Finish():
            return "done"
        case DeadLetter():
            return "dead"
        case End():
            return decision.state
        case CountCrash():
            return "crashed"
        case Retry(carried) if carried.snoozes > delivery.carried.snoozes:
            return "snooze"
        case RetryInPlace() if decision.snoozes > delivery.carried.snoozes:
            return "snooze"
        case _:
            return "retry"


def _written(decision: Decision, copied: str) -> dict[str, str | int]:
    """Set on the span what the settlement wrote."""
    told: dict[str, str | int] = {names.COPY: copied} if copied else {}
    if isinstance(decision, Retry):
        told[names.DELAY_MS] = decision.carried.delay_ms or 0
    elif isinstance(decision, RetryInPlace):
        told[names.DELAY_MS] = decision.delay_ms
    return told
