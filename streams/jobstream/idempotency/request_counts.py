"""Counts what became of requests with a key. Any thread writes, any thread reads."""

from __future__ import annotations

import threading

OUTCOMES = (
    "stored", "replayed", "conflict", "mismatch", "store_down", "refused", "released", "unkept",
    "lease_lost",
)  # fmt: skip
"""What `jobs_idempotency_requests_total` is labelled with; each is there from the start, at 0."""


class RequestCounts:
    """The numbers of one middleware in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(OUTCOMES, 0)

    def add(self, outcome: str) -> None:
        """Count one."""
        with self._lock:
            self._counts[outcome] += 1

    def now(self) -> dict[str, int]:
        """The numbers, by outcome."""
        with self._lock:
            return dict(self._counts)
