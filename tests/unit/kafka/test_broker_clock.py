"""Broker time as a process reckons it: by what brokers stamped, not by its machine's wall clock."""

from __future__ import annotations

import subprocess
import sys

import pytest

from jobstream.kafka.client.broker_clock import (
    DOUBTED_REPORT_MS,
    REMEMBERED_MS,
    VAGUE_MS,
    WINDOW_MS,
    BrokerClock,
)
from jobstream.testing import VirtualClock

HOUR_MS = 3_600_000
LONG_S = 60


@pytest.fixture
def world() -> VirtualClock:
    return VirtualClock()


def tell(clock: BrokerClock, world: VirtualClock, **ahead_ms: int) -> None:
    """Report records just published: one of each topic, by a broker that is ahead by so much."""
    stamps = {(topic, 0): world.broker_ms() + ms for topic, ms in ahead_ms.items()}
    clock.reported(stamps, clock.monotonic_ms())


@pytest.mark.parametrize("wrong_ms", [-HOUR_MS, HOUR_MS])
def test_a_wall_clock_that_is_wrong_stops_to_matter_with_the_first_report(
    wrong_ms: int, world: VirtualClock
) -> None:
    machine = world.machine(wrong_ms)
    clock = BrokerClock(machine)
    assert clock.needs_report()
    assert clock.broker_ms() == world.broker_ms() + wrong_ms

    tell(clock, world, a=0)
    machine.set_wall(2 * wrong_ms)

    assert not clock.needs_report()
    assert clock.broker_ms() == world.broker_ms()


def test_the_stamp_of_a_record_that_is_read_holds_nothing_back(world: VirtualClock) -> None:
    clock = BrokerClock(world.machine())
    clock.observe(world.broker_ms() - 200_000)
    assert clock.broker_ms() == world.broker_ms()

    tell(clock, world, a=0)
    clock.observe(world.broker_ms() - 200_000)
    assert clock.broker_ms() == world.broker_ms()


def test_a_record_from_the_future_raises_a_guess_and_asks_what_was_told_to_be_told_anew(
    world: VirtualClock,
) -> None:
    clock = BrokerClock(world.machine(-HOUR_MS))
    clock.observe(world.broker_ms())
    assert clock.broker_ms() == world.broker_ms()

    tell(clock, world, a=0)
    clock.observe(world.broker_ms() + HOUR_MS)
    world.advance(DOUBTED_REPORT_MS - 1)
    assert not clock.needs_report()
    world.advance(1)
    assert clock.needs_report()
    assert clock.broker_ms() == world.broker_ms()


@pytest.mark.parametrize("odd_ms", [-HOUR_MS, HOUR_MS])
def test_one_broker_is_outvoted_by_the_others(world: VirtualClock, odd_ms: int) -> None:
    clock = BrokerClock(world.machine())
    for _ in range(10):
        tell(clock, world, a=odd_ms, b=0, c=0)
        world.advance(60_000)
        tell(clock, world, a=odd_ms)
        assert clock.broker_ms() == world.broker_ms()


def test_it_is_behind_by_no_more_than_the_quickest_report(world: VirtualClock) -> None:
    clock = BrokerClock(world.machine())
    for took_ms in (300, 4, 900):
        sent_ms, stamp_ms = clock.monotonic_ms(), world.broker_ms()
        world.advance(took_ms)
        clock.reported({("a", 0): stamp_ms}, sent_ms)

    assert clock.broker_ms() == world.broker_ms() - 4


def test_what_a_quick_report_told_is_forgotten_after_a_while(world: VirtualClock) -> None:
    """Clocks drift: the next one stands for itself."""
    clock = BrokerClock(world.machine())
    tell(clock, world, a=0)
    for since_ms, behind_ms in ((WINDOW_MS - 300, 0), (1, 300)):
        world.advance(since_ms)
        sent_ms, stamp_ms = clock.monotonic_ms(), world.broker_ms()
        world.advance(300)
        clock.reported({("a", 0): stamp_ms}, sent_ms)

        assert clock.broker_ms() == world.broker_ms() - behind_ms


def test_few_fresh_reports_are_heard_together_with_those_of_the_last_hour(
    world: VirtualClock,
) -> None:
    clock = BrokerClock(world.machine())
    tell(clock, world, b=0, c=0)
    world.advance(WINDOW_MS + 1)

    tell(clock, world, a=HOUR_MS)
    assert clock.broker_ms() == world.broker_ms()

    world.advance(REMEMBERED_MS)
    tell(clock, world, a=HOUR_MS)
    assert clock.broker_ms() == world.broker_ms() + HOUR_MS


def test_a_report_that_took_long_says_nothing_once_another_was_heard(world: VirtualClock) -> None:
    clock = BrokerClock(world.machine())
    tell(clock, world, a=0)
    sent_ms, stamp_ms = clock.monotonic_ms(), world.broker_ms()
    world.advance(VAGUE_MS + 1)

    clock.reported({("b", 0): stamp_ms}, sent_ms)

    assert clock.broker_ms() == world.broker_ms()


@pytest.mark.parametrize("step_ms", [-HOUR_MS, HOUR_MS])
def test_a_broker_that_is_set_right_is_believed_at_once(world: VirtualClock, step_ms: int) -> None:
    clock = BrokerClock(world.machine())
    tell(clock, world, a=0)
    world.advance(1_000)

    tell(clock, world, a=step_ms)

    assert clock.broker_ms() == world.broker_ms() + step_ms


def test_a_suspended_machine_passes_time_and_is_not_awake() -> None:
    """Played by a time namespace, in which a day passed that this machine was not awake for."""
    show = (
        "from jobstream.kafka.client.broker_clock import MACHINE as m;"
        "print(m.monotonic_ms(), m.awake_s())"
    )
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
