"""The two clocks of a machine, as a worker and its child processes read them.

One place for both: what is set by one clock and judged by another is wrong by as long as the
machine was suspended. What they mean is told at `ports.Machine`.
"""

from __future__ import annotations

import sys
import time

_PASSED = time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC

awake_s = time.perf_counter
"""Awake time: not while the machine is suspended. Taken as it is: every run asks for it."""


def monotonic_ms() -> int:
    """Passed time: milliseconds that also pass while the process or the machine sleeps."""
    return time.clock_gettime_ns(_PASSED) // 1_000_000
