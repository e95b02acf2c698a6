"""Tells of ends that are no success: in the log, and to hooks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobstream_processors.core.decide import DeadLetter, Decision, Retry
from jobstream_processors.core.outcome import Outcome, Unreadable
from jobstream_processors.delivery import Delivery
from jobstream_processors.watch.failure_log import FailureLog
from jobstream_processors.watch.missing_code import MissingCode

if TYPE_CHECKING:
    from jobstream_processors.core.outcome import Done

log = logging.getLogger("jobstream.worker")

Failed = Callable[[Delivery, Outcome | None, Decision], None]
"""Told of an end that is no success; without an outcome, the delivery never ran."""


class Reports:
    """What is told of the engine's deliveries. Used on the event loop's thread."""

    def __init__(
        self,
        monotonic_ms: Callable[[], int],
        failed: Failed | None = None,
        *,
        tracebacks: bool = False,
    ) -> None:
        """With `tracebacks` the log has those of every failed run."""
        self._failed = failed
        self._failures = FailureLog(monotonic_ms, tracebacks=tracebacks)
        self._missing = MissingCode()
        self._warned: set[str] = set()

    def ran(self, delivery: Delivery, outcome: Outcome, decision: Decision) -> None:
        """A run ended otherwise than done."""
        self._failures.tell(delivery, outcome, decision)
        if self._failed is not None:
            self._failed(delivery, outcome, decision)
        if isinstance(outcome, Unreadable) and not isinstance(decision, DeadLetter):
            self._missing.tell(delivery, "jobstream.SchemaMismatch", outcome.message)

    def unrun(self, delivery: Delivery, decision: Decision) -> None:
        """It was decided without a run."""
        if isinstance(decision, DeadLetter):
            self._failures.tell(delivery, None, decision)
            if self._failed is not None:
                self._failed(delivery, None, decision)
        elif isinstance(decision, Retry) and delivery.spec is None:
            self._missing.tell(delivery, decision.carried.error, decision.carried.message)

    def done(self, delivery: Delivery, outcome: Done) -> None:
        """A handler that returned a value is warned of once."""
        spec = delivery.spec
        if outcome.returned and spec is not None and spec.name not in self._warned:
            self._warned.add(spec.name)
            told = {"job": spec.name, "fix": "return nothing; the value is thrown away"}
            log.warning("handler_returned_a_value", extra=told)

    def tick(self, now_ms: int | None = None) -> None:
        """Write how many failures were alike in the intervals that are over; None: in all."""
        self._failures.tick(now_ms)
