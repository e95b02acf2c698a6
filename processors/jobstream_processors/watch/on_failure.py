"""Calls user code for each failed run, for error trackers, on a thread of its own.

Nothing waits for it: not the event loop, not a settlement. It decides nothing about a job, and what
its callbacks raise is logged and forgotten.
"""

from __future__ import annotations

import logging
import queue
from contextvars import copy_context
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from jobstream_processors.background import in_background, log_end
from jobstream_processors.core.decide import CountCrash, DeadLetter, Retry, RetryInPlace
from jobstream_processors.core.headers import Carried
from jobstream_processors.core.letters import fingerprint_of
from jobstream_processors.current import name_job
from jobstream_processors.execute.running import facts_of
from jobstream_processors.failure import Failure, texts_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from jobstream_processors.context import RunFacts
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.failure import Callback

log = logging.getLogger("jobstream.worker")

WAITING_MAX = 1_000
"""Failures that wait for their call; those beyond are counted and left out."""
LEAVE_S = 2.0


class Noted(NamedTuple):
    """A failure but for its fingerprint, which takes a while to find."""

    failure: Failure
    facts: RunFacts
    job_type: str
    """The name in the schema that wrote the job."""
    cause: Carried

    def told(self) -> Failure:
        """The failure, with the fingerprint that its dead letter has or would have."""
        return replace(self.failure, fingerprint=fingerprint_of(self.job_type, self.cause))


def failure_of(delivery: Delivery, outcome: Outcome | None, decision: Decision) -> Failure | None:
    """The failure that an ended run is, None if it is none: done, snoozed, cancelled, interrupted.

    A retry that the handler asked for is one only if it was the last. Without an outcome it never
    ran: a failure only if it is dead.
    """
    noted = _noted(delivery, outcome, decision)
    return noted.told() if noted is not None else None


def _noted(delivery: Delivery, outcome: Outcome | None, decision: Decision) -> Noted | None:
    error, message, spot = texts_of(outcome)
    told, cause = "", Carried()
    match decision:
        case DeadLetter(carried):
            kind: Literal["retry", "dead"] = "dead"
            reason, wait_ms = carried.reason, None
            error = error or carried.error or f"jobstream.{reason}"
            message = message or carried.message
            told = carried.traceback if outcome is None else ""
            cause = carried
        case Retry(carried) if error:
            kind, reason, wait_ms = "retry", "", carried.delay_ms
        case RetryInPlace(_, delay_ms) | CountCrash(_, delay_ms) if error:
            kind, reason, wait_ms = "retry", "", delay_ms
        case _:
            return None
    if kind == "retry":
        cause = Carried(error=error, message=message, frame=spot.frame)
    written_as = delivery.reader.job_type if delivery.reader is not None else ""
    facts = facts_of(delivery)
    topic, partition, offset = facts.source
    failure = Failure(
        exception=delivery.error,
        error=error,
        message=message,
        traceback=spot.traceback or told,
        job_id=facts.job_id,
        job=facts.name,
        queue=facts.queue,
        attempt=facts.attempt,
        redrive=facts.redrive,
        topic=topic,
        partition=partition,
        offset=offset,
        correlation_id=facts.correlation_id,
        decision=kind,
        reason=reason,
        retry_in_ms=wait_ms,
    )
    return Noted(failure, facts, written_as, cause)


class Failures:
    """Hands failures to the callbacks, one after the other, from a thread of its own."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._callbacks = callbacks
        self._waiting: queue.Queue[Noted | None] = queue.Queue(WAITING_MAX)
        self._left_out = 0
        self._thread: threading.Thread | None = None

    def tell(self, delivery: Delivery, outcome: Outcome | None, decision: Decision) -> None:
        """Note an ended run, if it failed, or a job dead without one; returns at once.

        Called on one thread, the loop's.
        """
        noted = _noted(delivery, outcome, decision)
        if noted is None:
            return
        if self._thread is None:
            name = "jobstream-failures"
            self._thread = in_background(name, self._serve, log_end(name))
        try:
            self._waiting.put_nowait(noted)
        except queue.Full:
            self._left_out += 1

    def died(self, delivery: Delivery, decision: DeadLetter) -> None:
        """Note a job whose dead letter is acknowledged; returns at once.

        Called on the thread that settles, and then on no other. What is told is what the letter
        says: the exception itself is gone by then.
        """
        self.tell(delivery, None, decision)

    def close(self, timeout_s: float = LEAVE_S) -> None:
        """Make the calls that wait, for at most `timeout_s`; blocks for that."""
        if self._thread is None:
            return
        try:
            self._waiting.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _serve(self) -> None:
        while (noted := self._waiting.get()) is not None:
            context = copy_context()
            context.run(name_job, noted.facts)
            context.run(call, self._callbacks, noted.told())
            left_out, self._left_out = self._left_out, 0
            if left_out:
                log.warning("failures_not_told", extra={"failures": left_out})


def call(callbacks: Sequence[Callback], failure: Failure) -> None:
    """Call each of them; what one raises is logged and keeps no other from being called."""
    for callback in callbacks:
        try:
            callback(failure)
        except BaseException:  # the edge of user code: nothing may pass
            # A callable of a class of its own may have no name.
            name = getattr(callback, "__qualname__", type(callback).__qualname__)
            log.exception("on_failure_raised", extra={"callback": str(name)})
