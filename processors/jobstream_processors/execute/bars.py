"""What keeps a run from beginning, asked by every executor right before it begins.

A delivery may wait long after it was judged: for its order key, for a slot, behind a pause. By then
its job may have expired, and its lane may have ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.outcome import Expired, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.ports import Clock


class Bars:
    """Says whether a delivery may still be run. Safe from any thread, cheap, never raises."""

    def __init__(self, clock: Clock, is_lost: Callable[[], bool]) -> None:
        self._clock = clock
        self.is_lost = is_lost
        """Whether this process was frozen past its session: then nothing starts any more."""

    def __call__(self, delivery: Delivery) -> Outcome | None:
        """The outcome without a run; None if it may begin."""
        # A thread may have been given it a moment before its lane ended.
        if self.is_lost() or not delivery.lane.live:
            return Interrupted()
        if delivery.expires_ms is not None and delivery.expires_ms <= self._clock.broker_ms():
            return Expired()
        return None
