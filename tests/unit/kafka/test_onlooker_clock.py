"""Broker time between bounds: whatever this machine's clock says, where records flow."""

from __future__ import annotations

import pytest

from jobstream.kafka.client.broker_clock import REMEMBERED_MS
from jobstream.kafka.client.onlooker_clock import OnlookerClock

PLACE = ("shop.mail", 0)
HOUR_MS = 3_600_000
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
    machine.clock.observe(PLACE, BROKER_AHEAD - 3_600_000, absent_at_ms=None)

    assert machine.error == 0


def test_a_clock_that_is_slow_is_held_by_the_stamps() -> None:
    machine = Machine(wrong=-3_600_000)
    machine.now += 15_000
    machine.clock.observe(PLACE, machine.now + BROKER_AHEAD - 200, absent_at_ms=None)
    machine.now += 1_000

    assert machine.error == -200


def test_a_clock_that_is_fast_is_held_by_records_that_are_new() -> None:
    machine = Machine(wrong=3_600_000)
    last_look = machine.now
    machine.now += 15_000
    machine.clock.observe(PLACE, last_look + 9_000 + BROKER_AHEAD, absent_at_ms=last_look)

    assert machine.error == 9_001  # a stamp is cut to whole milliseconds


def test_bounds_grow_old() -> None:
    """A broker's clock may be set: what it stamped long ago binds no longer."""
    machine = Machine(wrong=-1_000)
    machine.clock.observe(PLACE, machine.now + BROKER_AHEAD, absent_at_ms=machine.now - 10)
    machine.now += REMEMBERED_MS + 1

    assert machine.error == -1_000


@pytest.mark.parametrize("odd_ms", [-HOUR_MS, HOUR_MS])
@pytest.mark.parametrize("wrong", [-HOUR_MS, 0, HOUR_MS])
def test_one_broker_is_outvoted_by_the_others(odd_ms: int, wrong: int) -> None:
    machine = Machine(wrong)
    for _ in range(10):
        last_look = machine.now
        machine.now += 1_000
        for number, ahead in enumerate((odd_ms, 0, 0)):
            stamp = last_look + BROKER_AHEAD + ahead
            machine.clock.observe(("shop.mail", number), stamp, absent_at_ms=last_look)

        assert abs(machine.error) <= 1_000


def test_one_broker_is_outvoted_by_records_of_which_nobody_knows_how_old_they_are() -> None:
    machine = Machine(wrong=0)
    for number, ahead in enumerate((HOUR_MS, -200, -HOUR_MS)):
        stamp = machine.now + BROKER_AHEAD + ahead
        machine.clock.observe(("shop.mail", number), stamp, absent_at_ms=None)

    assert machine.error == 0


def test_what_waits_for_long_does_not_outvote_what_is_new() -> None:
    machine = Machine(wrong=-HOUR_MS)
    for number in range(5):
        stamp = machine.now + BROKER_AHEAD - 2 * HOUR_MS
        machine.clock.observe(("shop.mail", number), stamp, absent_at_ms=None)
    stamp = machine.now + BROKER_AHEAD
    machine.clock.observe(("shop.offsets", 0), stamp, absent_at_ms=machine.now)

    assert machine.error == 0
