"""The door of a queue with bounds: an enqueue passes, or is refused, by the last look at its lag.

What an enqueue pays is one comparison of times and one attribute. The looks are the watch's.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobstream.errors import QueueBehind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream.enqueue.transport import Transport
    from jobstream_processors.core.back_pressure import Over, QueueBounds
    from jobstream_processors.queue_plan import QueuePlan

log = logging.getLogger("jobstream.enqueue")

Ask = Callable[["Door", "Transport", float], float]
STALE_S = 10.0
"""An older look says nothing: the broker may be away, or this process stood still."""
TELL_S = 60.0
"""How often the log tells of one queue."""
UNBOUNDED = "nothing is refused until the lag is known"


class Door:
    """One queue's door in one process. Safe to use from any thread."""

    def __init__(self, plan: QueuePlan, bounds: QueueBounds, ask: Ask) -> None:
        self.plan = plan
        self.bounds = bounds
        self._ask = ask
        """Tells the watch of an enqueue; returns when to tell it again, monotonic."""
        self._ask_at_s = 0.0
        self._over: Over | None = None
        self._until_s = 0.0
        self._tell_at_s = 0.0
        self._is_blind = False
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter(dict.fromkeys(_declared(bounds), 0))

    def enter(self, transport: Transport, now_s: float) -> None:
        """Let one enqueue pass, or raise QueueBehind; `now_s` is monotonic. Does not block."""
        if now_s >= self._ask_at_s:
            self._ask_at_s = self._ask(self, transport, now_s)
        over = self._over
        if over is not None and now_s < self._until_s:
            self._met(over, now_s)

    # -- what the watch tells

    def seen(self, over: Over | None, now_s: float) -> None:
        """A look succeeded: the queue is over a bound, or under all."""
        self._until_s = now_s + STALE_S
        self._over, self._is_blind = over, False

    def blind(self, reason: str) -> None:
        """The lag is not known: from now on all pass. Told once, until it is known again."""
        self._over = None
        if not self._is_blind:
            self._is_blind = True
            told = {"queue": self.plan.name, "reason": reason, "what_holds": UNBOUNDED}
            log.warning("back_pressure_blind", extra=told)

    def forget(self) -> None:
        """Know nothing: another transport, or another process."""
        self._over, self._is_blind, self._ask_at_s = None, False, 0.0

    def forked(self) -> None:
        """In a forked child, where a thread that held the lock does not exist."""
        self._lock = threading.Lock()
        self.forget()

    # -- what metrics tell

    @property
    def is_blind(self) -> bool:
        """Whether the last look failed, or found no worker's mark."""
        return self._is_blind

    @property
    def counts(self) -> Mapping[str, int]:
        """Bound → enqueues that were refused for it, or let in with a warning."""
        with self._lock:
            return dict(self._counts)

    # -- inside

    def _met(self, over: Over, now_s: float) -> None:
        with self._lock:
            self._counts[over.bound] += 1
            tells = now_s >= self._tell_at_s
            if tells:
                self._tell_at_s = now_s + TELL_S
        if tells:
            told = {"queue": self.plan.name, "bound": over.bound, "depth": over.depth}
            told |= {"age_s": _seconds(over.age_ms), "refuses": self.bounds.refuses}
            log.warning("queue_over_bound", extra=told)
        if self.bounds.refuses:
            raise QueueBehind(
                self.plan.name,
                over.bound,
                depth=over.depth,
                depth_max=self.bounds.depth_max,
                age=_seconds(over.age_ms),
                age_max=_seconds(self.bounds.age_max_ms),
                retry_after=over.retry_ms / 1_000,
            )


def _declared(bounds: QueueBounds) -> list[str]:
    found = {"depth_max": bounds.depth_max, "age_max": bounds.age_max_ms}
    return [name for name, value in found.items() if value is not None]


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1_000
