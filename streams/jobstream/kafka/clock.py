"""Broker time, estimated from what the broker stamped on records.

A record stamped `ts` was appended before we heard of it, so broker time is at least `ts` plus the
time since then. The largest such bound over the last minutes is used: jobs are never early by
broker time, and a step of this machine's wall clock changes nothing.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobstream_processors.ports import Machine

WINDOW_MS = 300_000
_CLOCK = time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC


def monotonic_ms() -> int:
    """Milliseconds that also pass while the process or the machine sleeps."""
    return time.clock_gettime_ns(_CLOCK) // 1_000_000


class MachineTime:
    """The `Machine` port: what this machine's kernel says. Safe to use from any thread."""

    monotonic_ms = staticmethod(monotonic_ms)
    """Passed time: also while the process or the machine sleeps."""
    awake_s = staticmethod(time.perf_counter)
    """Awake time: not while the machine is suspended. Taken as it is: every run asks for it."""

    @staticmethod
    def wall_ms() -> int:
        """The time of day by this machine, which may be wrong and jump."""
        return time.time_ns() // 1_000_000


MACHINE = MachineTime()


class BrokerClock:
    """The `Clock` port: this machine's time and the brokers'. Safe to use from any thread."""

    def __init__(self, machine: Machine = MACHINE) -> None:
        self.monotonic_ms = machine.monotonic_ms
        self.awake_s = machine.awake_s
        self.wall_ms = machine.wall_ms
        self._lock = threading.Lock()
        self._best: int | None = None
        """Largest (broker - monotonic) seen in the current window."""
        self._previous: int | None = None
        self._window_ends = 0
        self._wall_offset = self.wall_ms() - self.monotonic_ms()

    def broker_ms(self) -> int:
        """A lower bound of broker time; this machine's wall clock until a first record is seen."""
        known = [offset for offset in (self._best, self._previous) if offset is not None]
        return self.monotonic_ms() + (max(known) if known else self._wall_offset)

    def observe(self, append_ms: int) -> None:
        """Learn from the append time of a record just acknowledged or received."""
        now = self.monotonic_ms()
        offset = append_ms - now
        with self._lock:
            if now >= self._window_ends:
                self._previous, self._best = self._best, None
                self._window_ends = now + WINDOW_MS
            if self._best is None or offset > self._best:
                self._best = offset
