"""Writes one line for each failed run: which job, what failed, where, and when it runs again.

Of failures alike (same job type, error and place) only the first few of a storm are written one by
one, then one line per interval with their count. It decides nothing about a job; what is kept of
each failure stands in the headers of its retry and in its dead letter.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from jobstream_processors.core.decide import (
    CountCrash,
    DeadLetter,
    Retry,
    RetryInPlace,
    WaitInPlace,
)
from jobstream_processors.core.outcome import Again, Unstarted
from jobstream_processors.failure import texts_of
from jobstream_processors.watch.thinning import INTERVAL_MS, Thinning

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery

log = logging.getLogger("jobstream.worker")

FAILED, DEAD, CUT = "job_failed", "job_dead", "delay_cut_to_window"


class _Line(NamedTuple):
    level: int
    event: str
    fields: dict[str, Any]


class FailureLog:
    """Logs every run that did not succeed. Used on the event loop's thread."""

    def __init__(self, monotonic_ms: Callable[[], int], *, tracebacks: bool = False) -> None:
        """With `tracebacks` each failed run has its whole traceback; deaths always have theirs."""
        self._now_ms = monotonic_ms
        self._thinning: Thinning[_Line] = Thinning()
        self._tracebacks = tracebacks

    def tell(self, delivery: Delivery, outcome: Outcome | None, decision: Decision) -> None:
        """Write of an ended run, if it failed, or of a death without a run; returns at once."""
        event, level = _event_of(outcome, decision)
        if not event or not log.isEnabledFor(level):
            return
        error, message, spot = texts_of(outcome)
        reason = ""
        if isinstance(decision, DeadLetter):
            carried = decision.carried
            reason, error, message = carried.reason, carried.error, carried.message
        elif isinstance(outcome, Again):
            error = "jobstream.RetryAfter" if outcome.uses_attempt else "jobstream.Snooze"
            message = outcome.reason

        def line() -> _Line:
            told = {"reason": reason, "error": error, "why": message, "frame": spot.frame}
            fields = {name: value for name, value in told.items() if value}
            return _Line(level, event, _job(delivery) | fields | _next(delivery, decision))

        reader = delivery.reader
        job_type = reader.job_type if reader is not None else ""
        kind = event, job_type, delivery.lane.queue, reason, error, spot.frame
        if self._thinning.passes(kind, self._now_ms(), line):
            whole = self._tracebacks or event == DEAD or log.isEnabledFor(logging.DEBUG)
            _write(line(), spot.traceback if whole else "")

    def tick(self, now_ms: int | None = None) -> None:
        """Write how many were alike in the intervals that are over; None: in all, for the last."""
        for line, count in self._thinning.due(now_ms):
            fields = line.fields | {"count": count, "in_s": INTERVAL_MS // 1_000}
            _write(line._replace(fields=fields), "")


def _event_of(outcome: Outcome | None, decision: Decision) -> tuple[str, int]:
    """(event, level) of the line; "" where there is none to write."""
    match decision:
        case DeadLetter():
            return DEAD, logging.ERROR
        case WaitInPlace() if isinstance(outcome, Unstarted):
            return "child_not_started", logging.WARNING
        case Retry(cut=True) | RetryInPlace(cut=True) if isinstance(outcome, Again):
            return CUT, logging.WARNING
        case Retry() | RetryInPlace() if isinstance(outcome, Again) and outcome.uses_attempt:
            return "retry_by_handler", logging.INFO
        case Retry() | RetryInPlace() | CountCrash() if texts_of(outcome)[0]:
            return FAILED, logging.WARNING
    return "", 0


def _job(delivery: Delivery) -> dict[str, Any]:
    fields, spec = delivery.fields(), delivery.spec
    return fields if spec is None else fields | {"attempts": spec.policy.backoff.attempts}


def _next(delivery: Delivery, decision: Decision) -> dict[str, Any]:
    match decision:
        case Retry(carried):
            wait_ms = carried.delay_ms or 0
        case RetryInPlace(_, wait_ms) | CountCrash(_, wait_ms) | WaitInPlace(wait_ms):
            pass
        case _:
            return {}
    told: dict[str, Any] = {"retry_in_s": wait_ms / 1_000}
    if isinstance(decision, Retry | RetryInPlace) and decision.cut:
        told |= {"window_ms": delivery.lane.window_ms, "fix": "raise dedup= of the queue"}
    return told


def _write(line: _Line, traceback: str) -> None:
    """As the logger does, with a traceback that is text already: secrets are taken out of it."""
    record = log.makeRecord(
        log.name, line.level, __file__, 0, line.event, (), None, "tell", line.fields
    )
    record.exc_text = traceback.rstrip() or None
    log.handle(record)
