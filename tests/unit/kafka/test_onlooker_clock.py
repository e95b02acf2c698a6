"""Broker time between bounds: whatever this machine's clock says, where records flow."""

from __future__ import annotations

import pytest

from jobstream.kafka.clock import WINDOW_MS
from jobstream.kafka.onlooker_clock import OnlookerClock

BROKER_AHEAD = 5_000_000
"""Broker time minus monotonic time, in truth."""


class Machine:
    """A monotonic clock at `now`, and a wall clock that is wrong by `wrong`."""

    def __init__(self, wrong: int) -> None:
        self.now = 1_000
        self.wrong = wrong
        self.clock = OnlookerClock(self.wall_ms, lambda: self.now)

    def wall_ms(self) -> int:
        return self.now + BROKER_AHEAD + self.wrong

    @property
    def error(self) -> int:
        return self.clock.broker_ms() - (self.now + BROKER_AHEAD)


@pytest.mark.parametrize("wrong", [-3_600_000, 0, 3_600_000])
def test_without_records_it_is_this_machines_clock(wrong: int) -> None:
    assert Machine(wrong).error == wrong


def test_an_old_record_does_not_set_the_clock_back() -> None:
    machine = Machine(wrong=0)
    machine.clock.observe(BROKER_AHEAD - 3_600_000, absent_at_ms=None)

    assert machine.error == 0


def test_a_clock_that_is_slow_is_held_by_the_stamps() -> None:
    machine = Machine(wrong=-3_600_000)
    machine.now += 15_000
    machine.clock.observe(machine.now + BROKER_AHEAD - 200, absent_at_ms=None)
    machine.now += 1_000

    assert machine.error == -200


def test_a_clock_that_is_fast_is_held_by_records_that_are_new() -> None:
    machine = Machine(wrong=3_600_000)
    last_look = machine.now
    machine.now += 15_000
    machine.clock.observe(last_look + 9_000 + BROKER_AHEAD, absent_at_ms=last_look)

    assert machine.error == 9_000


def test_bounds_grow_old() -> None:
    """A broker's clock may be set: what it stamped long ago binds no longer."""
    machine = Machine(wrong=-1_000)
    machine.clock.observe(machine.now + BROKER_AHEAD, absent_at_ms=machine.now - 10)
    machine.now += WINDOW_MS

    assert machine.error == -1_000


def test_a_stamp_binds_more_than_what_was_absent() -> None:
    """Two brokers that disagree: no record is from the future."""
    machine = Machine(wrong=0)
    machine.clock.observe(machine.now + BROKER_AHEAD + 500, absent_at_ms=None)
    machine.clock.observe(machine.now + BROKER_AHEAD - 700, absent_at_ms=machine.now)

    assert machine.error == 500
