"""Broker time as a process reckons it: by what brokers stamped, not by its machine's wall clock."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from jobstream.kafka.clock import BrokerClock

HOUR_MS = 3_600_000
LONG_S = 60
SLACK_MS = 5_000
"""More than this test can take."""


@pytest.mark.parametrize("wrong_ms", [-HOUR_MS, HOUR_MS])
def test_a_wall_clock_that_is_wrong_stops_to_matter_with_the_first_record(
    wrong_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    right_ns = time.time_ns
    monkeypatch.setattr("time.time_ns", lambda: right_ns() + wrong_ms * 1_000_000)
    clock = BrokerClock()
    stamped_ms = right_ns() // 1_000_000
    assert abs(clock.broker_ms() - stamped_ms - wrong_ms) < SLACK_MS

    clock.observe(stamped_ms)

    assert 0 <= clock.broker_ms() - stamped_ms < SLACK_MS


def test_time_is_never_ahead_of_the_newest_stamp_and_what_passed_since() -> None:
    clock = BrokerClock()
    now_ms = time.time_ns() // 1_000_000
    for late_ms in (300, 0, 90_000):
        clock.observe(now_ms - late_ms)

    began_ms = clock.monotonic_ms()
    told_ms = clock.broker_ms()

    assert now_ms <= told_ms <= now_ms + clock.monotonic_ms() - began_ms + SLACK_MS


def test_a_suspended_machine_passes_time_and_is_not_awake() -> None:
    """Played by a time namespace, in which a day passed that this machine was not awake for."""
    show = "from jobstream.kafka.clock import MACHINE as m; print(m.monotonic_ms(), m.awake_s())"
    told = []
    for slept_s in ("0", "86400"):
        played = ["unshare", "--time", "--boottime", slept_s, sys.executable, "-c", show]
        run = subprocess.run(played, capture_output=True, text=True, check=False)
        if run.returncode:
            pytest.skip(f"needs unshare --time and the right to use it: {run.stderr.strip()}")
        passed_ms, awake_s = map(float, run.stdout.split())
        told.append((passed_ms / 1_000, awake_s))
    (before, awake_before), (after, awake_after) = told

    assert 86_400 <= after - before < 86_400 + LONG_S
    assert 0 <= awake_after - awake_before < LONG_S
