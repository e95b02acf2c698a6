"""A loop that is held beyond a job's limit ends its worker; one that comes round never does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream_processors.execute.on_loop import GRACE_MS
from jobstream_processors.watch.loop_watch import LOOKS_MIN, LoopWatch

if TYPE_CHECKING:
    from tests.unit.shop import Shop

    from jobstream_processors.delivery import Delivery

LIMIT_MS = 2_000


class Held:
    """A watch over a loop that the test lets come round, and one run that began."""

    def __init__(self, shop: Shop) -> None:
        shop.handle("send", timeout_ms=LIMIT_MS)
        (self.delivery,) = shop.deliver(shop.lane(), shop.send("a"))
        self.clock = shop.clock
        self.ticked = 1.0
        self.runs: list[tuple[Delivery, float]] = [(self.delivery, self.clock.awake_s() + 1e-9)]
        self.ends: list[BaseException] = []
        self.watch = LoopWatch(lambda: self.ticked, lambda: self.runs, self.clock, self.ends.append)

    def look(self, times: int, *, each_ms: int = 1_000, ticks: bool = False) -> None:
        """Look so often, with the loop standing still unless it `ticks`."""
        for _ in range(times):
            self.clock.advance(each_ms)
            self.ticked += ticks
            self.watch.look()


@pytest.fixture
def held(shop: Shop) -> Held:
    return Held(shop)


def test_a_loop_held_beyond_limit_and_grace_ends_the_worker_once(
    held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    held.look(7)
    assert held.ends == []

    held.look(5)

    (end,) = held.ends
    assert "job a (send)" in str(end)
    (record,) = [record for record in caplog.records if record.msg == "loop_held"]
    assert "test_loop_watch" in record.__dict__["loop_is_at"]


def test_a_loop_that_comes_round_is_left_alone(held: Held) -> None:
    held.look(60, ticks=True)

    assert held.ends == []


def test_a_run_within_its_limit_holds_the_loop_unpunished(held: Held) -> None:
    held.look((LIMIT_MS + GRACE_MS) // 1_000)

    assert held.ends == []


def test_one_that_was_reported_and_waits_is_no_reason(held: Held) -> None:
    held.delivery.outlives()

    held.look(60)

    assert held.ends == []


def test_a_machine_that_stood_still_is_no_held_loop(held: Held) -> None:
    held.look(1)
    held.look(LOOKS_MIN - 1, each_ms=3_600_000)

    assert held.ends == []


def test_a_worker_that_leaves_is_watched_no_more(held: Held) -> None:
    held.watch.close()

    held.look(60)

    assert held.ends == []
