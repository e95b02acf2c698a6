"""Says when a producer's clock is wrong, by what brokers stamped on the records it sent.

Nothing is decided by that clock, so nothing is corrected; but its jobs' `enqueued_at`, the times in
its ids and its logs are wrong, and its other programs may believe it.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

if TYPE_CHECKING:
    from confluent_kafka import Message

log = logging.getLogger("jobstream.kafka")

OFF_MS = 60_000
"""A clock that is wrong by more is reported."""
LOOK_S = 1.0
TELL_S = 3_600.0
"""How often the same producer is reported."""
FIX = "set this machine's clock; no job waits or expires by it, but enqueued_at is wrong"


class ProducerClock:
    """Watches one producer's reports, from the one thread that serves them."""

    def __init__(self) -> None:
        self.look_at_s = 0.0
        """When a report is to be heard again, on the monotonic clock."""
        self._tell_at_s = 0.0

    def heard(self, message: Message) -> None:
        """A record was acknowledged: compare its times, and look again in a second."""
        self.look_at_s = time.monotonic() + LOOK_S
        kind, stamp_ms = message.timestamp()
        if kind == TIMESTAMP_LOG_APPEND_TIME:
            wall_ms = time.time() * 1_000
            sent_ms = wall_ms - (message.latency() or 0.0) * 1_000
            self.compare(round(sent_ms), stamp_ms, round(wall_ms))

    def compare(self, sent_ms: int, stamp_ms: int, reported_ms: int) -> int:
        """Tell if the clock is off; returns by how many milliseconds it is ahead at least.

        `stamp_ms` is the broker's, and lies between the two others where this clock is right.
        """
        ahead_ms = max(sent_ms - stamp_ms, 0) or min(reported_ms - stamp_ms, 0)
        now_s = time.monotonic()
        if abs(ahead_ms) > OFF_MS and now_s >= self._tell_at_s:
            self._tell_at_s = now_s + TELL_S
            log.warning("producer_clock_off", extra={"ahead_s": ahead_ms // 1_000, "fix": FIX})
        return ahead_ms
