"""The delayer's idea of the time: no stamp of an old record, no wall clock, no single broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream.kafka.client.broker_clock import REPORT_MS, BrokerClock
from jobstream.observe.metrics.metric import EDGES
from jobstream_processors.core.headers import Carried
from jobstream_processors.delay.delay_meter import DelayMeter
from jobstream_processors.delay.hops import FAILED_HOLD_MS
from jobstream_processors.ports import CLOCK_KEY

if TYPE_CHECKING:
    from tests.unit.shop import Ladder

HOUR_MS = 3_600_000
WALLS = [-2 * HOUR_MS, 0, 2 * HOUR_MS]


def come(ladder: Ladder, wall_ahead_ms: int = 0) -> BrokerClock:
    """A delayer starts on a machine with such a wall clock; its group has no other."""
    clock = BrokerClock(ladder.shop.clock.machine(wall_ahead_ms))
    ladder.new_delayer(clock=clock)
    return clock


@pytest.mark.parametrize("wall_ahead_ms", WALLS)
def test_one_that_comes_back_late_carries_at_once_what_is_overdue(
    ladder: Ladder, wall_ahead_ms: int
) -> None:
    ladder.source.close()
    ladder.put("2m", b"a", Carried(delay_ms=150_000, partition=0))
    ladder.shop.clock.advance(200_000)
    come(ladder, wall_ahead_ms)

    ladder.turns()

    assert ladder.arrived() == [b"a"]


@pytest.mark.parametrize("wall_ahead_ms", WALLS)
def test_one_that_comes_early_lets_nothing_go_before_its_time(
    ladder: Ladder, wall_ahead_ms: int
) -> None:
    ladder.source.close()
    ladder.put("2m", b"a", Carried(delay_ms=120_000, partition=0))
    ladder.shop.clock.advance(60_000)
    come(ladder, wall_ahead_ms)

    ladder.turns()
    ladder.pass_ms(59_999)
    assert ladder.arrived() == []

    ladder.pass_ms(1)
    assert ladder.arrived() == [b"a"]


def test_it_asks_for_the_time_once_a_minute_and_only_while_something_waits(ladder: Ladder) -> None:
    ladder.source.close()
    come(ladder)
    ladder.pass_ms(REPORT_MS)
    assert asked(ladder) == 0

    ladder.put("1h", b"a", Carried(delay_ms=HOUR_MS, partition=0))
    for _ in range(10):
        ladder.pass_ms(REPORT_MS // 5)
    assert asked(ladder) == 2


def test_nothing_leaves_while_nobody_tells_the_time(ladder: Ladder) -> None:
    ladder.source.close()
    ladder.put("5s", b"a", Carried(delay_ms=5_000, partition=0))
    come(ladder, HOUR_MS)
    ladder.shop.broker.fail_publishes(lambda record: record.key == CLOCK_KEY, fate="absent")
    ladder.turns()
    assert ladder.arrived() == []

    ladder.shop.broker.heal()
    ladder.pass_ms(5_000 + FAILED_HOLD_MS)
    assert ladder.arrived() == [b"a"]


def test_brokers_whose_clocks_are_set_back_are_believed_at_the_next_report(ladder: Ladder) -> None:
    ladder.shop.broker.skew(HOUR_MS)
    ladder.source.close()
    come(ladder)
    ladder.put("5s", b"before", Carried(delay_ms=5_000, partition=0))
    ladder.pass_ms(5_000)
    assert ladder.arrived() == [b"before"]

    ladder.shop.broker.skew(0)
    ladder.shop.clock.advance(REPORT_MS)
    ladder.put("30s", b"after", Carried(delay_ms=30_000, partition=0))
    ladder.pass_ms(29_999)
    assert ladder.arrived() == [b"before"]
    ladder.pass_ms(1)
    assert ladder.arrived() == [b"before", b"after"]


def test_a_run_at_long_past_is_not_late_by_years(ladder: Ladder) -> None:
    meter = DelayMeter("shop.delay", ladder.shop.plans, EDGES)
    ladder.source.close()
    ladder.new_delayer(meter=meter)
    ladder.put("0s", b"a", Carried(due_ms=0, partition=0))
    ladder.turns()

    assert ladder.arrived() == [b"a"]
    assert meter.late["mail"].shown[1] == 0


def asked(ladder: Ladder) -> int:
    """How often the delayer published something for the time alone."""
    records = ladder.shop.broker.records("shop.offsets")
    return sum(record.key() == CLOCK_KEY for record in records)
