"""Reports ends that are not a success: in the log, and to hooks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobstream_processors.core.decide import DeadLetter, Decision, Retry
from jobstream_processors.core.outcome import Outcome, Unreadable
from jobstream_processors.delivery import Delivery
from jobstream_processors.watch.failure_log import FailureLog

if TYPE_CHECKING:
    from jobstream_processors.core.outcome import Done

log = logging.getLogger("jobstream.worker")

WARNED_MAX = 1_000
"""So many different lacks of code are logged: what a record names may be anything."""
WAITS = "up to an hour from its first try, for a worker that has the code; then it is a dead letter"

Failed = Callable[[Delivery, Outcome | None, Decision], None]
"""Called for each end that is not a success; without an outcome, the delivery never ran."""


class Reports:
    """Reports what became of the engine's deliveries. Used on the event loop's thread."""

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
        self._lacks: set[tuple[str, str | None, str]] = set()
        self._warned: set[str] = set()

    def ran(self, delivery: Delivery, outcome: Outcome, decision: Decision) -> None:
        """A run ended otherwise than done."""
        self._failures.tell(delivery, outcome, decision)
        if self._failed is not None:
            self._failed(delivery, outcome, decision)
        if isinstance(outcome, Unreadable) and not isinstance(decision, DeadLetter):
            self._lacks_code(delivery, "jobstream.SchemaMismatch", outcome.message)

    def unrun(self, delivery: Delivery, decision: Decision) -> None:
        """It was decided without a run."""
        if isinstance(decision, DeadLetter):
            self._failures.tell(delivery, None, decision)
            if self._failed is not None:
                self._failed(delivery, None, decision)
        elif isinstance(decision, Retry) and delivery.spec is None:
            self._lacks_code(delivery, decision.carried.error, decision.carried.message)

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

    def _lacks_code(self, delivery: Delivery, error: str, message: str) -> None:
        """Warn that jobs wait for code that this worker lacks; once per type, schema and lack.

        The module with the handlers is not imported, or a deploy is under way.
        """
        fields, meta = delivery.fields(), delivery.meta
        lack = error, fields.get("job"), meta.fingerprint.hex() if meta is not None else message
        if lack in self._lacks or len(self._lacks) >= WARNED_MAX:
            return
        self._lacks.add(lack)
        told = {"error": error, "reason": message, "waits": WAITS}
        log.warning("job_waits_for_code", extra={**fields, **told})
