"""Unique jobs for later: whatever else they wait for, none runs before its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from jobstream import App, Context, Debounce, RetryAfter, Unique
from jobstream.testing import memory

DAY_S = 24 * 3_600
FIRST, LATER = "first", "later"
HOLDS = "5m"


@dataclass(frozen=True)
class Order:
    number: int
    note: str


def seconds_until_it_ran(delay: str, *, beside: bool = False, **rule: Any) -> float:  # noqa: ANN401 - of any
    """How long after its enqueue a job ran; `beside` one that holds the key a while."""
    app, ran = App("shop"), list[tuple[str, int]]()

    @app.job(**rule)
    async def ship(args: Order, ctx: Context) -> None:
        ran.append((args.note, jobs.clock.broker_ms()))
        if args.note == FIRST and ctx.attempt == 1:
            raise RetryAfter(HOLDS)

    with memory(app) as jobs:
        if beside:
            ship.enqueue(Order(1, FIRST))
            jobs.run_for("10s")
        enqueued_ms = jobs.clock.broker_ms()
        ship.enqueue(Order(1, LATER), delay=delay)
        jobs.run_until_idle()

    assert [note for note, _ in ran] == [*([FIRST, FIRST] if beside else []), LATER]
    return (ran[-1][1] - enqueued_ms) / 1000


@pytest.mark.parametrize("until", ["done", "start"])
@pytest.mark.parametrize(("delay", "after_s"), [("3d", 3 * DAY_S), ("40d", 40 * DAY_S)])
def test_no_dedup_window_cuts_the_delay(until: Any, delay: str, after_s: int) -> None:  # noqa: ANN401 - of two
    rule = Unique(by="number", until=until)

    assert seconds_until_it_ran(delay, unique=rule) == after_s


@pytest.mark.parametrize(("delay", "after_s"), [("10s", 10), ("30m", 1_800), ("3d", 3 * DAY_S)])
def test_one_that_waits_for_its_burst(delay: str, after_s: int) -> None:
    rule = Debounce(by="number", wait="5s")

    assert seconds_until_it_ran(delay, debounce=rule) == after_s


@pytest.mark.parametrize(("delay", "after_s"), [("30m", 1_800), ("3d", 3 * DAY_S)])
def test_one_that_waits_for_the_holder(delay: str, after_s: int) -> None:
    rule = Unique(by="number", on_conflict="keep_latest")

    assert seconds_until_it_ran(delay, unique=rule, beside=True) == after_s
