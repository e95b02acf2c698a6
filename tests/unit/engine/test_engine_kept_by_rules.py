"""What waits by a rule of its type while its lane shuts, its type is paused, or its lane drains.

Nothing of it begins, and no gate counts on it: others have its turn.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.unit.shop import Works

from jobstream_processors.core.breaker import Breaker
from jobstream_processors.core.deaths import FLOOD, PAUSE_MS_FIRST
from jobstream_processors.core.orders import PAUSE_QUEUE, PAUSE_TYPE
from jobstream_processors.core.outcome import DeclaredDead, Raised
from jobstream_processors.core.verdict import NotBefore
from jobstream_processors.engine.gates.fair import FAIR, Turnstile
from jobstream_processors.engine.gates.gate import Gate
from jobstream_processors.engine.gates.outage import Breakers
from jobstream_processors.engine.gates.pause import TYPE_PAUSED
from jobstream_processors.job_types import ASYNC, PROCESS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.shop import Shop

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.waiting import WaitingRoom
    from jobstream_processors.ports import Record

DEAD = DeclaredDead("dead_by_handler", "gone")
FAILED = Raised("builtins.OSError", "no", ("builtins.OSError",))
SMTP = Breaker("smtp", least=3, open="30s", open_max="5m", probes=1)
SOON_MS = 1_000
SLOTS = 4


FAR_MS = 600_000


class Soon(Gate):
    """A rule that lets nothing begin for a time, as a limit may."""

    has_rules = True

    def __init__(self, wait_ms: int = SOON_MS) -> None:
        self.wait_ms = wait_ms
        self.keeps_all = True

    def asks(self, room: WaitingRoom, delivery: Delivery, now_ms: int) -> NotBefore | None:  # noqa: ARG002 - the shape of it
        return NotBefore("soon", now_ms + self.wait_ms) if self.keeps_all else None


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def works_with(shop: Shop, loop: asyncio.AbstractEventLoop, gate: Gate) -> Works:
    spec = replace(shop.specs["send"], gated=True)
    if isinstance(gate, Breakers):
        spec = replace(spec, breaker=SMTP)
    shop.specs["send"] = replace(spec, fair=isinstance(gate, Turnstile))
    works = Works(shop, loop, gate)
    works.hand.slots = SLOTS
    return works


def line_of(shop: Shop) -> Turnstile:
    return Turnstile({ASYNC: SLOTS, PROCESS: SLOTS}, 10_000, shop.clock.awake_s)


def of_tenant(shop: Shop, tenant: str, count: int, partition: int) -> list[Record]:
    events = [shop.event(f"{tenant}{n}", "send", fair_key=tenant) for n in range(count)]
    return [shop.put(event, partition=partition) for event in events]


def work_on(works: Works, ticks: int) -> list[str]:
    """Which jobs ended, where each that has a slot ends at the next tick; "long0" never does."""
    ended: list[str] = []
    for _ in range(ticks):
        for job_id in [each for each in works.hand.hosted if each != "long0"]:
            works.end(job_id)
            ended.append(job_id)
        waiting, works.hand.waiting = works.hand.waiting, []
        for delivery in waiting:
            works.hand.submit(delivery)
        works.settle()
        works.pass_ms(50)
    return ended


def flooded(works: Works) -> Lane:
    """A lane whose flood guard has closed, with three jobs behind it."""
    lane, shop = works.lane(), works.shop
    works.floods.limit = 3
    works.accept(lane, *(shop.send(f"dies{n}") for n in range(3)))
    for number in range(3):
        works.end(f"dies{number}", DEAD)
    works.settle()
    works.accept(lane, *(shop.send(job_id) for job_id in ("a", "b", "c")))
    return lane


@pytest.mark.pure("a gate of its own")
def test_a_job_whose_turn_comes_under_a_pause_of_its_type_waits_for_its_end(
    shop: Shop, loop: asyncio.AbstractEventLoop
) -> None:
    soon = Soon()
    works = works_with(shop, loop, soon)
    lane = works.lane()
    works.accept(lane, shop.send("a"))
    works.order((PAUSE_TYPE, "send"))

    soon.keeps_all = False
    works.pass_ms(10 * SOON_MS)
    assert works.hand.started == []
    assert works.kept(lane) == {"a": TYPE_PAUSED}

    works.order()
    assert works.hand.started == ["a"]


def test_fair_jobs_of_a_paused_type_do_not_run_either(
    shop: Shop, loop: asyncio.AbstractEventLoop
) -> None:
    works = works_with(shop, loop, line_of(shop))
    lane = works.lane()
    works.accept(lane, *of_tenant(shop, "t", 100, 0))
    assert FAIR in works.kept(lane).values()
    work_on(works, 2)

    works.order((PAUSE_TYPE, "send"))
    work_on(works, 1)  # What had a slot ends.
    assert work_on(works, 100) == []

    works.order()
    work_on(works, 100)
    assert len(set(works.hand.started)) == 100


@pytest.mark.pure("a gate of its own")
@pytest.mark.parametrize("wait_ms", [SOON_MS, FAR_MS])
def test_a_probe_of_the_flood_guard_that_a_rule_keeps_is_not_waited_for(
    shop: Shop, loop: asyncio.AbstractEventLoop, wait_ms: int
) -> None:
    soon = Soon(wait_ms)
    soon.keeps_all = False
    works = works_with(shop, loop, soon)
    lane = flooded(works)

    soon.keeps_all = True
    works.pass_ms(PAUSE_MS_FIRST)  # It probes, and in vain.
    assert works.hand.hosted == {}
    soon.keeps_all = False
    works.pass_ms(SOON_MS)
    works.pass_ms(SOON_MS)

    (probe,) = works.hand.hosted
    assert set(works.kept(lane).values()) == {FLOOD}
    works.end(probe)
    assert not lane.shut
    assert set(works.hand.started) >= {"b", "c"}


@pytest.mark.pure("a gate of its own")
def test_a_probe_that_waits_aside_while_its_queue_is_paused_is_not_waited_for(
    shop: Shop, loop: asyncio.AbstractEventLoop
) -> None:
    soon = Soon()
    soon.keeps_all = False
    works = works_with(shop, loop, soon)
    flooded(works)
    soon.keeps_all = True
    works.pass_ms(PAUSE_MS_FIRST)

    works.order((PAUSE_QUEUE, "mail"))
    soon.keeps_all = False
    works.order()
    works.pass_ms(SOON_MS)

    assert len(works.hand.hosted) == 1


def test_fair_jobs_of_a_lane_that_drains_take_no_turns_of_others(
    shop: Shop, loop: asyncio.AbstractEventLoop
) -> None:
    # Given a lane that holds on because of a long job, and one that stays
    works = works_with(shop, loop, line_of(shop))
    goes, stays = works.lane(0), works.lane(1)
    works.accept(goes, *of_tenant(shop, "long", 1, 0), *of_tenant(shop, "a", 400, 0))
    works.accept(stays, *of_tenant(shop, "b", 400, 1))

    works.engine.drain(goes)
    ended = work_on(works, 100)

    # The long job has one slot of four; the three others are for the lane that stays.
    assert sum(job_id.startswith("b") for job_id in ended) >= 3 * 90


def test_fair_jobs_of_a_lane_that_is_shut_take_no_turns_of_others(
    shop: Shop, loop: asyncio.AbstractEventLoop
) -> None:
    works = works_with(shop, loop, line_of(shop))
    shut, open_ = works.lane(0), works.lane(1)
    works.floods.limit = 1
    works.accept(shut, *of_tenant(shop, "a", 400, 0))
    works.accept(open_, *of_tenant(shop, "b", 400, 1))

    for job_id in list(works.hand.hosted):
        works.end(job_id, DEAD)
    assert shut.shut
    ended = work_on(works, 60)

    assert sum(job_id.startswith("b") for job_id in ended) >= SLOTS * 50


def test_a_breakers_probe_that_waits_for_a_slot_in_a_lane_that_drains_is_given_to_another(
    shop: Shop, loop: asyncio.AbstractEventLoop
) -> None:
    works = works_with(shop, loop, Breakers([SMTP], shop.clock.broker_ms, lambda *_: None))
    goes, stays = works.lane(0), works.lane(1)
    works.accept(goes, *(shop.send(f"first{n}") for n in range(3)))
    for number in range(3):
        works.end(f"first{number}", FAILED)
    works.settle()
    works.hand.slots = 1
    works.accept(goes, shop.put(shop.event("long0", "other")))
    works.pass_ms(30_000)
    works.accept(goes, shop.send("probe"))
    assert [delivery.id for delivery in works.hand.waiting] == ["probe"]

    works.engine.drain(goes)
    works.hand.slots = SLOTS
    works.accept(stays, shop.put(shop.event("other0", "send"), partition=1))
    works.pass_ms(SOON_MS)

    assert "other0" in works.hand.hosted
