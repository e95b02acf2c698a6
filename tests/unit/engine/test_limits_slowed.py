"""Limits that change while jobs run: the other side says 429, or an operator gives new numbers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.unit.engine.limited import first, job, limited
from tests.unit.shop import Works

from jobstream import Limit
from jobstream_processors.core.orders import SET_LIMIT, Order, in_force
from jobstream_processors.core.outcome import Again
from jobstream_processors.engine.gates.limit import JobLimits
from jobstream_processors.engine.gates.limited_lane import KEYS_MIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.shop import Shop


@pytest.fixture
def works(shop: Shop) -> Iterator[Works]:
    loop = asyncio.new_event_loop()
    yield Works(shop, loop, JobLimits(shop.clock))
    loop.close()


def test_a_slowed_key_starts_nothing_meanwhile(shop: Shop, works: Works) -> None:
    limited(shop, Limit(concurrency=5, per="to"))
    lane = first(works)
    works.accept(lane, job(shop, "a"))
    works.end("a", Again(1_500, uses_attempt=False, reason="429", slows=True))
    works.accept(lane, job(shop, "b"), job(shop, "c", "k2"))
    assert works.hand.started == ["a", "c"]
    works.pass_ms(1_500)
    assert works.hand.started == ["a", "c", "b"]


def test_a_429_slows_a_key_that_was_forgotten_while_its_job_ran(shop: Shop, works: Works) -> None:
    """So many other keys have come meanwhile that those which stand idle were dropped."""
    limited(shop, Limit(rate="100/s", per="to"))
    lane = first(works)
    works.accept(lane, job(shop, "a"))
    shop.clock.advance(100)
    for number in range(KEYS_MIN):
        works.accept(lane, job(shop, f"n{number}", f"key-{number}"))
    works.accept(lane, job(shop, "b"))

    works.end("a", Again(1_500, uses_attempt=False, reason="429", slows=True))
    shop.clock.advance(100)
    works.accept(lane, job(shop, "c"))

    assert works.kept(lane) == {"c": "rate"}


def test_an_operator_gives_a_limit_other_numbers_for_a_time(shop: Shop, works: Works) -> None:
    limited(shop, Limit(concurrency=1, per="to"), Limit(rate="1000/s", per="to"))
    lane = first(works)
    now_ms = shop.clock.broker_ms()
    entry = Order(
        SET_LIMIT, "send/concurrency/to", "ann", "", now_ms, now_ms + 60_000, {"concurrency": 2}
    )
    works.engine.obey(in_force([entry], now_ms))
    works.accept(lane, *(job(shop, name) for name in "abc"))
    works.pass_ms(5)
    assert works.hand.started == ["a", "b"]

    works.engine.obey(in_force([], now_ms))
    works.end("a")
    works.pass_ms(5)
    assert works.hand.started == ["a", "b"]
    works.end("b")
    works.pass_ms(5)
    assert works.hand.started == ["a", "b", "c"]


def test_numbers_of_another_kind_or_out_of_bounds_change_nothing(shop: Shop, works: Works) -> None:
    limited(shop, Limit(concurrency=1, per="to"))
    lane = first(works)
    now_ms = shop.clock.broker_ms()
    numbers = {"concurrency": -5, "starts": 7, "odd": 1}
    entry = Order(SET_LIMIT, "send/concurrency/to", "x", "", now_ms, now_ms + 9_000, numbers)
    works.engine.obey(in_force([entry], now_ms))
    works.accept(lane, *(job(shop, name) for name in "ab"))
    assert works.hand.started == ["a"]
