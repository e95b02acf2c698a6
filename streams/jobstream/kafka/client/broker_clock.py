"""Time as this machine has it, and broker time, estimated from what brokers stamped on records.

A report of a record that was just published is worth most: the broker stamped it after it was sent
and before it was reported, so its clock is known from both sides. A record that was read was
stamped before that, by an unknown time: an old one says next to nothing. So read
records count only while nothing was reported yet, and so does this machine's wall clock.

Every broker has a clock of its own, and a partition's stamps are of the broker that leads it. What
is told is the median over the partitions of which something was reported lately: a broker that is
an hour ahead, or behind, is outvoted and decides nothing for jobs of the others.
"""

from __future__ import annotations

import threading
import time
from statistics import median_low
from typing import TYPE_CHECKING, NamedTuple

from jobstream_processors.machine_time import awake_s, monotonic_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobstream_processors.ports import Machine, TopicPartition

WINDOW_MS = 300_000
"""How long reports of one partition are taken together; then the next one stands for itself."""
VOTES_MIN = 3
"""Partitions that must have reported within the window; else those of the last hour vote, too."""
REMEMBERED_MS = 3_600_000
REPORT_MS = 60_000
"""After so long without a report, a process that acts by broker time must publish something."""
DOUBT_MS = 1_000
"""A record that was read is from so far in the future: broker time may have been changed."""
DOUBTED_REPORT_MS = 5_000
VAGUE_MS = 5_000
"""A report that took longer says too little."""


class MachineTime:
    """The `Machine` port: what this machine's kernel says. Safe to use from any thread."""

    monotonic_ms = staticmethod(monotonic_ms)
    """Passed time: also while the process or the machine sleeps."""
    awake_s = staticmethod(awake_s)
    """Awake time: not while the machine is suspended."""

    @staticmethod
    def wall_ms() -> int:
        """The time of day by this machine, which may be wrong and jump."""
        return time.time_ns() // 1_000_000


MACHINE = MachineTime()


class Bounds(NamedTuple):
    """What is known of (broker - monotonic) time of the broker that leads one partition."""

    low: int
    high: int
    since_ms: int
    """Monotonic, of the first report that these come from."""
    at_ms: int
    """Monotonic, of the last of them."""

    def joined(self, new: Bounds) -> Bounds:
        """Both together; the new alone if this is of another time, or the clock was changed."""
        if new.at_ms - self.since_ms > WINDOW_MS:
            return new
        low, high = max(self.low, new.low), min(self.high, new.high)
        return new if low > high else Bounds(low, high, self.since_ms, new.at_ms)


def voters(known: Iterable[Bounds], now_ms: int) -> list[Bounds]:
    """Those of the partitions that are heard: by the median of these a broker is outvoted."""
    remembered = [each for each in known if now_ms - each.at_ms <= REMEMBERED_MS]
    fresh = [each for each in remembered if now_ms - each.at_ms <= WINDOW_MS]
    return fresh if len(fresh) >= VOTES_MIN else remembered


class BrokerClock:
    """The `Clock` port: this machine's time and the brokers'. Safe to use from any thread."""

    def __init__(self, machine: Machine = MACHINE) -> None:
        self.monotonic_ms = machine.monotonic_ms
        self.awake_s = machine.awake_s
        self.wall_ms = machine.wall_ms
        self._lock = threading.Lock()
        self._known: dict[TopicPartition, Bounds] = {}
        self._ahead = self.wall_ms() - self.monotonic_ms()
        """Broker time minus monotonic time: what is believed now."""
        self._reported_ms: int | None = None
        self._doubted = False

    def broker_ms(self) -> int:
        """Broker time as far as it is known; before any report, this machine's wall clock.

        Behind it by what a report takes, a few milliseconds: so that nothing is early.
        """
        return self.monotonic_ms() + self._ahead

    def needs_report(self) -> bool:
        """Whether nothing was reported lately: publish something before you act by broker time."""
        if self._reported_ms is None:
            return True
        age_ms = self.monotonic_ms() - self._reported_ms
        return age_ms >= (DOUBTED_REPORT_MS if self._doubted else REPORT_MS)

    def observe(self, append_ms: int) -> None:
        """Learn from the append time of a record just read: broker time is no less."""
        low = append_ms - self.monotonic_ms()
        if low <= self._ahead:
            return
        if self._reported_ms is not None:
            # Its broker's clock may be ahead of others'; or all were set right. A report will tell.
            self._doubted = self._doubted or low > self._ahead + DOUBT_MS
            return
        with self._lock:
            if self._reported_ms is None:
                self._ahead = max(self._ahead, low)

    def reported(self, stamps: Mapping[TopicPartition, int], sent_ms: int) -> None:
        """Learn from records that are just acknowledged: the newest append time of each partition.

        They were sent at `sent_ms`, monotonic, or later.
        """
        now_ms = self.monotonic_ms()
        if not stamps or (self._reported_ms is not None and now_ms - sent_ms > VAGUE_MS):
            return
        with self._lock:
            for place, stamp_ms in stamps.items():
                # A stamp is cut to whole milliseconds, as is the time of sending.
                told = Bounds(stamp_ms - now_ms, stamp_ms - sent_ms + 1, now_ms, now_ms)
                self._known[place] = self._known.get(place, told).joined(told)
            self._known = {
                place: bounds
                for place, bounds in self._known.items()
                if now_ms - bounds.at_ms <= REMEMBERED_MS
            }
            self._reported_ms, self._doubted = now_ms, False
            self._ahead = median_low(each.low for each in voters(self._known.values(), now_ms))
