"""Breakers in the engine: which jobs begin, which wait and where, and what is said of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.unit.shop import Works

from jobstream_processors.core.breaker import Breaker
from jobstream_processors.core.circuit import State
from jobstream_processors.core.headers import parse
from jobstream_processors.core.orders import (
    BREAKER_OPENED,
    HOLD_BREAKER,
    OPEN,
    Order,
    in_force,
)
from jobstream_processors.core.outcome import (
    DONE,
    Again,
    Cancelled,
    Crashed,
    DeclaredDead,
    Interrupted,
    Raised,
    TimedOut,
)
from jobstream_processors.core.retry import Backoff
from jobstream_processors.core.verdict import MOMENT_MS
from jobstream_processors.engine.gates.outage import Breakers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.shop import Shop

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.outcome import Outcome

OPEN_MS = 30_000
SMTP = Breaker("smtp", least=3, open="30s", open_max="5m", probes=2)
FAILED = Raised("builtins.OSError", "no", ("builtins.OSError",))


class News:
    """What was told to other processes."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, int]] = []

    def tell(self, name: str, why: str, lasts_ms: int) -> None:
        self.told.append((name, why, lasts_ms))


@pytest.fixture
def news() -> News:
    return News()


@pytest.fixture
def gate(shop: Shop, news: News) -> Breakers:
    return Breakers([SMTP], shop.clock.broker_ms, news.tell)


@pytest.fixture
def works(shop: Shop, gate: Breakers) -> Iterator[Works]:
    for name in ("send", "held"):
        shop.specs[name] = replace(shop.specs[name], gated=True, breaker=SMTP)
    loop = asyncio.new_event_loop()
    yield Works(shop, loop, gate)
    loop.close()


def tripped(works: Works) -> Lane:
    """A lane in whose process three runs failed."""
    lane = works.lane()
    works.accept(lane, *(works.shop.send(f"first{number}") for number in range(3)))
    for number in range(3):
        works.end(f"first{number}", FAILED)
    works.settle()
    works.hand.started.clear()
    return lane


def state(gate: Breakers) -> State:
    (facts,) = gate.facts()
    return facts.state


def test_it_opens_by_ratio_and_tells_the_others_why(
    works: Works, gate: Breakers, news: News, caplog: pytest.LogCaptureFixture
) -> None:
    tripped(works)

    assert state(gate) is State.OPEN
    assert news.told == [("smtp", "3 of 3 runs failed within 1m", OPEN_MS)]
    (record,) = [each for each in caplog.records if each.message == "breaker_opened"]
    assert vars(record)["breaker"] == "smtp"
    assert "jobstream control breaker" in vars(record)["fix"]


def test_good_runs_keep_it_closed(works: Works, gate: Breakers) -> None:
    lane = works.lane()
    ids = [f"job{number}" for number in range(9)]
    works.accept(lane, *(works.shop.send(each) for each in ids))
    for number, each in enumerate(ids):
        works.end(each, FAILED if number % 3 == 2 else DONE)

    assert state(gate) is State.CLOSED


SAYS_NOTHING = {
    "it was dead at once": DeclaredDead("dead_by_handler", "gone"),
    "it snoozed": Again(5_000, uses_attempt=False, reason="later"),
    "it was told when": Again(5_000, uses_attempt=True, reason="busy"),
    "it was cancelled": Cancelled("no"),
    "its child died": Crashed("killed by signal 9"),
    "it was cut": Interrupted(),
}


@pytest.mark.parametrize("outcome", SAYS_NOTHING.values(), ids=SAYS_NOTHING.keys())
def test_what_says_nothing_of_the_dependency_counts_for_nothing(
    works: Works, gate: Breakers, outcome: Outcome
) -> None:
    lane = works.lane()
    works.accept(lane, *(works.shop.send(f"job{number}") for number in range(6)))
    for number in range(6):
        works.end(f"job{number}", outcome)

    assert state(gate) is State.CLOSED


def test_a_failure_that_no_repeat_can_mend_is_the_jobs_own(
    shop: Shop, works: Works, gate: Breakers
) -> None:
    shop.specs["send"] = replace(
        shop.handle("send", backoff=Backoff(dead_on=(OSError,))), gated=True, breaker=SMTP
    )
    tripped(works)

    assert state(gate) is State.CLOSED


def test_timeouts_and_last_attempts_count(shop: Shop, works: Works, gate: Breakers) -> None:
    spec = shop.handle("send", backoff=Backoff(attempts=1))
    shop.specs["send"] = replace(spec, gated=True, breaker=SMTP)
    lane = works.lane()
    works.accept(lane, *(shop.send(each) for each in "abc"))
    works.end("a", TimedOut(30_000))
    works.end("b", FAILED)
    assert state(gate) is State.CLOSED
    works.end("c", TimedOut(30_000))

    assert state(gate) is State.OPEN


def test_while_it_is_open_jobs_leave_for_the_ladder_with_their_attempt(
    shop: Shop, works: Works
) -> None:
    lane = tripped(works)
    now_ms = shop.clock.broker_ms()
    works.accept(lane, *(shop.send(each) for each in "abcdefgh"), shop.send("x", "other"))
    works.settle()

    assert works.hand.started == ["x"]
    copies = [parse(r.headers()) for r in shop.broker.records(shop.plan.rungs["30s"][0], 0)]
    assert [each.attempt for each in copies] == [1] * 8
    assert {each.waits for each in copies} == {"breaker"}
    due = [(each.due_ms or 0) - now_ms for each in copies]
    assert all(OPEN_MS <= each <= OPEN_MS * 3 // 2 for each in due)
    assert len(set(due)) > 4, "they do not come back at once"


def test_so_many_probes_and_no_more_begin_when_its_time_is_over(
    shop: Shop, works: Works, gate: Breakers
) -> None:
    lane = tripped(works)
    works.pass_ms(OPEN_MS)
    works.accept(lane, *(shop.send(each) for each in "abcd"))

    assert works.hand.started == ["a", "b"]
    assert works.kept(lane) == {"c": "breaker", "d": "breaker"}
    assert state(gate) is State.HALF_OPEN

    works.end("a")
    works.accept(lane, shop.send("e"))
    assert works.hand.started == ["a", "b"], "one of them is still to succeed"
    works.end("b")
    works.pass_ms(0)
    assert works.hand.started == ["a", "b", "c", "d", "e"]
    assert state(gate) is State.CLOSED


def test_what_waits_for_probes_that_take_long_leaves_for_the_ladder(
    shop: Shop, works: Works
) -> None:
    lane = tripped(works)
    works.pass_ms(OPEN_MS)
    works.accept(lane, *(shop.send(each) for each in "abcd"))
    works.pass_ms(MOMENT_MS)

    assert works.kept(lane) == {}
    assert works.hand.started == ["a", "b"]


def test_a_probe_that_fails_opens_it_for_twice_as_long(
    shop: Shop, works: Works, gate: Breakers, news: News
) -> None:
    lane = tripped(works)
    works.pass_ms(OPEN_MS)
    works.accept(lane, shop.send("a"), shop.send("b"))

    works.end("a", FAILED)

    assert state(gate) is State.OPEN
    assert news.told[-1] == ("smtp", "a probe failed: job a", 2 * OPEN_MS)
    works.end("b")
    assert state(gate) is State.OPEN, "a probe of before says nothing any more"


def test_a_probe_that_says_nothing_makes_way_for_the_next(
    shop: Shop, works: Works, gate: Breakers
) -> None:
    lane = tripped(works)
    works.pass_ms(OPEN_MS)
    works.accept(lane, *(shop.send(each) for each in "abcd"))

    works.end("a", Cancelled("no"))
    works.pass_ms(0)

    assert works.hand.started == ["a", "b", "c"]
    assert state(gate) is State.HALF_OPEN


def test_it_is_closed_if_no_job_came_for_as_long_as_it_was_open(
    shop: Shop, works: Works, gate: Breakers
) -> None:
    lane = tripped(works)
    works.pass_ms(2 * OPEN_MS - 1)
    assert state(gate) is State.HALF_OPEN
    works.pass_ms(1)
    assert state(gate) is State.CLOSED

    works.accept(lane, *(shop.send(each) for each in "abcd"))
    works.end("a", FAILED)
    works.end("b", FAILED)

    assert works.hand.started == list("abcd")
    assert state(gate) is State.CLOSED, "it counts anew"
    works.end("c", FAILED)
    (facts,) = gate.facts()
    assert facts.until_ms == shop.clock.broker_ms() + 2 * OPEN_MS, "it had not recovered"


def test_probes_of_a_lane_that_ends_make_way_for_others(shop: Shop, works: Works) -> None:
    lane = tripped(works)
    works.pass_ms(OPEN_MS)
    works.accept(lane, shop.send("a"), shop.send("b"))
    works.engine.end(lane)

    other = works.lane(1)
    works.accept(other, shop.put(shop.event("c"), partition=1))

    assert works.hand.started == ["a", "b", "c"]


def test_a_probe_that_never_got_a_slot_is_made_anew(shop: Shop, works: Works) -> None:
    lane = tripped(works)
    works.hand.slots = 0
    works.pass_ms(OPEN_MS)
    works.accept(lane, shop.send("a"), shop.send("b"), shop.send("c"))
    works.engine.tick(silent=True)
    works.hand.slots = 9
    works.engine.tick()

    assert works.hand.started == ["a", "b"]


def test_jobs_of_a_key_wait_in_place_and_go_when_it_closes(
    shop: Shop, works: Works, gate: Breakers
) -> None:
    lane = tripped(works)
    works.accept(lane, *(shop.send(each, key="k") for each in "abc"))
    assert works.kept(lane) == {"a": "breaker", "b": "key", "c": "key"}

    obey(works, held("smtp", is_open=False))
    works.pass_ms(0)

    assert works.hand.started == ["a"]
    assert state(gate) is State.CLOSED


# -- operators and others


def held(name: str, *, is_open: bool, expires_ms: int = 1 << 50) -> Order:
    return Order(HOLD_BREAKER, name, "ann", "moves", 0, expires_ms, {OPEN: int(is_open)})


def opened(name: str, expires_ms: int, at_ms: int = 0) -> Order:
    return Order(BREAKER_OPENED, name, "other:1", "3 of 3", at_ms, expires_ms)


def obey(works: Works, *orders: Order) -> None:
    works.engine.obey(in_force(orders, works.shop.clock.broker_ms()))


def test_it_believes_others_for_its_first_open_time(
    shop: Shop, works: Works, gate: Breakers, news: News
) -> None:
    now_ms = shop.clock.broker_ms()
    obey(works, opened("smtp", now_ms + 300_000))

    lane = works.lane()
    works.accept(lane, shop.send("a"))
    assert works.hand.started == []
    assert news.told == [], "what others told is not told again"
    works.pass_ms(OPEN_MS)
    works.accept(lane, shop.send("b"))
    assert works.hand.started == ["b"]
    (facts,) = gate.facts()
    assert dict(facts.openings) == {"own": 0, "shared": 1, "operator": 0}


def test_an_opening_that_was_heard_of_is_not_heard_of_again(
    shop: Shop, works: Works, gate: Breakers
) -> None:
    news = opened("smtp", shop.clock.broker_ms() + 300_000)
    obey(works, news)
    works.pass_ms(OPEN_MS)
    lane = works.lane()
    works.accept(lane, shop.send("a"), shop.send("b"))
    works.end("a")
    works.end("b")
    assert state(gate) is State.CLOSED

    obey(works, news, Order("quiet", "x:1", "ann", "", 0, 1 << 50))

    assert state(gate) is State.CLOSED


def test_held_closed_nothing_opens_it(shop: Shop, works: Works, gate: Breakers, news: News) -> None:
    obey(works, held("smtp", is_open=False), opened("smtp", shop.clock.broker_ms() + 300_000))
    tripped(works)

    assert state(gate) is State.CLOSED
    assert news.told == []
    (facts,) = gate.facts()
    assert facts.held == "by ann: moves"


def test_held_open_it_is_tried_when_the_entry_ends_by_itself(shop: Shop, works: Works) -> None:
    until_ms = shop.clock.broker_ms() + 60_000
    obey(works, held("smtp", is_open=True, expires_ms=until_ms))
    works.pass_ms(60_000)
    obey(works)

    works.accept(works.lane(), *(shop.send(each) for each in "abc"))

    assert works.hand.started == ["a", "b"]


def test_released_before_its_time_it_is_closed(shop: Shop, works: Works, gate: Breakers) -> None:
    obey(works, held("smtp", is_open=True))
    obey(works)

    works.accept(works.lane(), *(shop.send(each) for each in "abc"))

    assert works.hand.started == ["a", "b", "c"]
    assert state(gate) is State.CLOSED


def test_an_order_about_another_breaker_is_none_of_its_business(
    works: Works, gate: Breakers
) -> None:
    obey(works, held("ftp", is_open=True), opened("ftp", 1 << 50))

    assert state(gate) is State.CLOSED
