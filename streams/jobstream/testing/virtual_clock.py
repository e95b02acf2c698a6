"""Time that moves only when a test says so."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# An ordinary moment in 2027: code that mistakes 0 for "no time" is found out.
EPOCH_MS = 1_800_000_000_000


class VirtualClock:
    """The `Clock` port by hand; used by any thread.

    One clock serves broker and workers alike, unless they are given machines of their own
    (`machine`), and brokers their own clocks (`MemoryBroker.skew`).
    """

    def __init__(self, epoch_ms: int = EPOCH_MS) -> None:
        self._epoch_ms = epoch_ms
        self._elapsed_ms = 0
        self._suspended_ms = 0
        self._lock = threading.Lock()
        self._watchers: list[Callable[[], None]] = []

    def monotonic_ms(self) -> int:
        """Milliseconds since the clock was made."""
        return self._elapsed_ms

    def awake_s(self) -> float:
        """Seconds since a second before it was made, without those that `suspend` took."""
        return 1 + (self._elapsed_ms - self._suspended_ms) / 1_000

    def wall_ms(self) -> int:
        """As broker time."""
        return self.broker_ms()

    def broker_ms(self) -> int:
        """Broker time, epoch milliseconds: the append time of a record published now."""
        return self._epoch_ms + self._elapsed_ms

    def needs_report(self) -> bool:
        """False: it is the time."""
        return False

    def advance(self, ms: int) -> None:
        """Let `ms` milliseconds pass at once, and wake all that wait for the clock."""
        if ms < 0:
            message = f"can't advance by {ms} ms: time goes forward; give 0 or more"
            raise ValueError(message)
        with self._lock:
            self._elapsed_ms += ms
        for watcher in tuple(self._watchers):
            watcher()

    def suspend(self, ms: int) -> None:
        """Let `ms` milliseconds pass in which the machine slept: no handler had a chance to run."""
        with self._lock:
            self._suspended_ms += ms
        self.advance(ms)

    def on_advance(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` after every advance, on the thread that advanced."""
        self._watchers.append(watcher)

    def machine(self, ahead_ms: int = 0) -> VirtualMachine:
        """A machine whose wall clock is ahead by so much, or behind; it moves with this clock."""
        return VirtualMachine(self, ahead_ms)


class VirtualMachine:
    """The `Machine` port: one of several in the same virtual time. `BrokerClock` runs on it."""

    def __init__(self, clock: VirtualClock, ahead_ms: int) -> None:
        self._clock = clock
        self._ahead_ms = ahead_ms
        self._suspended_ms = 0

    def monotonic_ms(self) -> int:
        """Milliseconds since the clock was made."""
        return self._clock.monotonic_ms()

    def awake_s(self) -> float:
        """Seconds since a second before the clock was made, but for those it was suspended."""
        return self._clock.awake_s() - self._suspended_ms / 1_000

    def wall_ms(self) -> int:
        """The time as this machine has it."""
        return self._clock.wall_ms() + self._ahead_ms

    def set_wall(self, ahead_ms: int) -> None:
        """Let its wall clock jump, so that it is ahead by so much; negative: behind."""
        self._ahead_ms = ahead_ms

    def suspend(self, ms: int) -> None:
        """Let this machine alone sleep while `ms` milliseconds pass for everybody."""
        self._suspended_ms += ms
        self._clock.advance(ms)
