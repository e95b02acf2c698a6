"""How far jobs may begin: as far as a mirror has announced, and no slot runs dry for that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.unit.shop import ByHand

from jobstream_processors.assignment.lane import FLOOR
from jobstream_processors.core.deaths import PAUSE_MS_FIRST
from jobstream_processors.core.outcome import DONE, DeclaredDead
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.engine.waiting import UNANNOUNCED
from jobstream_processors.job_types import THREAD

if TYPE_CHECKING:
    from tests.unit.shop import Shop, Works

    from jobstream_processors.assignment.lane import Lane

SLOTS = 4


class Edge:
    """An engine whose lanes have a horizon; mirrors are acknowledged when the test says so."""

    def __init__(self, works: Works) -> None:
        self.works = works
        self.asked = 0
        works.hand.slots = SLOTS
        works.engine.horizon.announce_by(self.ask, SLOTS)
        self.lane: Lane = works.lane()
        self.lane.limit(2)

    def ask(self) -> None:
        self.asked += 1

    def fill(self, count: int, key: str | None = None) -> None:
        shop: Shop = self.works.shop
        self.works.accept(self.lane, *(shop.send(f"{n:03d}", key=key) for n in range(count)))

    def acknowledge(self) -> None:
        self.works.engine.widen([(self.lane, self.lane.wanted)])

    def end_all(self) -> None:
        """Whatever has begun, or waits for a slot, is done."""
        for job_id in list(self.works.hand.hosted):
            self.works.end(job_id)
        while self.works.hand.waiting:
            delivery = self.works.hand.waiting.pop(0)
            self.works.engine.ended(delivery, DONE)
        self.works.settle()

    @property
    def begun(self) -> int:
        return len(self.works.hand.started)


@pytest.fixture
def edge(works: Works) -> Edge:
    return Edge(works)


def test_nothing_begins_that_no_mirror_has_announced(edge: Edge) -> None:
    edge.fill(5)

    assert edge.works.hand.started == ["000", "001"]
    assert edge.asked == 1
    assert edge.lane.wanted > 2

    edge.works.pass_ms(10_000)
    assert edge.begun == 2


def test_what_is_announced_begins_in_its_order(edge: Edge) -> None:
    edge.fill(4)

    edge.acknowledge()

    assert edge.works.hand.started == ["000", "001", "002", "003"]


def test_no_more_is_announced_than_the_slots_need(edge: Edge) -> None:
    edge.fill(1_000)
    edge.acknowledge()
    edge.works.pass_ms(50)
    edge.acknowledge()

    assert edge.begun == SLOTS
    assert edge.lane.may_begin <= 2 + SLOTS + 2 * FLOOR


def test_a_fast_stream_is_announced_far_ahead_of_it(edge: Edge) -> None:
    edge.fill(5_000)
    for _ in range(40):
        edge.end_all()
        edge.works.pass_ms(50)
        edge.acknowledge()

    assert edge.lane.watermark.position == 5_000


def test_a_fast_stream_finds_announced_what_comes_next(edge: Edge) -> None:
    """Else each of its batches would wait for a mirror."""
    for _ in range(40):
        edge.fill(100)
        edge.end_all()
        edge.works.pass_ms(50)
        edge.acknowledge()

    assert edge.lane.may_begin - edge.lane.watermark.begun >= 5 * FLOOR
    edge.fill(5 * FLOOR)
    assert not edge.works.kept(edge.lane)


def test_lanes_with_a_backlog_share_what_the_slots_need(edge: Edge) -> None:
    other = edge.works.lane(1)
    handed = []
    for lane in (edge.lane, other):
        lane.limit(0)
        place, shop = lane.source[1], edge.works.shop
        events = (shop.event(f"{place}-{number}") for number in range(100))
        handed.append((lane, [shop.put(event, partition=place) for event in events]))
    edge.works.engine.carry(handed)

    edge.works.pass_ms(50)

    assert edge.lane.wanted == other.wanted
    assert edge.lane.wanted + other.wanted <= SLOTS + FLOOR


def test_what_comes_late_to_those_that_wait_begins_at_its_place(edge: Edge) -> None:
    shop, lane = edge.works.shop, edge.lane
    keys = {"000": "k", "002": "k"}
    edge.works.accept(lane, *(shop.send(f"{n:03d}", key=keys.get(f"{n:03d}")) for n in range(6)))
    assert list(edge.works.kept(lane)) == ["003", "004", "005", "002"]

    edge.works.end("000")
    assert list(edge.works.kept(lane)) == ["002", "003", "004", "005"]
    edge.works.engine.widen([(lane, 4)])

    assert edge.works.hand.started == ["000", "001", "002", "003"]


def test_a_late_mirror_takes_back_nothing_that_was_announced(edge: Edge) -> None:
    edge.works.engine.widen([(edge.lane, 50)])

    edge.works.engine.widen([(edge.lane, 10)])

    assert edge.lane.may_begin == 50


def test_a_quiet_lane_is_announced_ahead_before_jobs_come(edge: Edge) -> None:
    edge.works.pass_ms(50)
    edge.acknowledge()

    edge.fill(3)

    assert edge.begun == 3


@pytest.mark.parametrize("known", [0, 9_000])
def test_what_stands_in_the_log_of_a_lane_that_comes_is_no_rate_of_jobs(
    edge: Edge, known: int
) -> None:
    """Neither the offset at which it begins, nor what an owner before has finished above it."""
    works, start = edge.works, 1_000_000
    works.pass_ms(200)
    lane = works.shop.lane(1, start)
    lane.watermark = Watermark(start, [(start + 1, start + known)])
    lane.limit(start + known + FLOOR)
    works.engine.begin(lane)
    for _ in range(4):
        works.pass_ms(50)
        works.engine.widen([(lane, lane.wanted)])
    for offset in range(start, start + known):
        lane.watermark.begin(offset)

    for _ in range(4):
        works.pass_ms(50)
        works.engine.widen([(lane, lane.wanted)])

    assert lane.may_begin <= start + known + 2 * FLOOR


def test_jobs_of_one_key_follow_each_other_across_the_horizon(edge: Edge) -> None:
    edge.fill(4, key="k")
    for job_id in ("000", "001"):
        edge.works.end(job_id)
        edge.works.settle()
    assert edge.begun == 2

    edge.works.pass_ms(50)
    edge.acknowledge()

    assert edge.works.hand.started == ["000", "001", "002"]


@pytest.mark.parametrize("shut", ["silent", "paused", "draining"])
def test_a_lane_of_which_nothing_begins_announces_nothing(edge: Edge, shut: str) -> None:
    """Else all that was taken up would be suspect to the next owner, should this one die."""
    engine, lane = edge.works.engine, edge.lane
    edge.fill(500)
    edge.acknowledge()
    begins_at_most = lane.may_begin
    if shut == "paused":
        edge.works.order(("pause_queue", "mail"))
    elif shut == "draining":
        engine.drain(lane)

    for _ in range(20):
        edge.works.shop.clock.advance(50)
        engine.tick(silent=shut == "silent")
        edge.acknowledge()

    assert lane.wanted == lane.may_begin == begins_at_most < 50


def test_a_probe_of_the_flood_guard_has_nothing_announced_but_itself(edge: Edge) -> None:
    edge.works.floods.limit = 2
    edge.fill(500)
    for job_id in ("000", "001"):
        edge.works.end(job_id, DeclaredDead("dead_by_handler", "gone"))
    edge.lane.limit(2)

    edge.works.pass_ms(PAUSE_MS_FIRST)
    edge.works.pass_ms(50)
    assert edge.lane.wanted == 3
    edge.acknowledge()

    assert edge.works.hand.started == ["000", "001", "002"]


def test_what_was_held_is_announced_again_where_it_goes_on(edge: Edge) -> None:
    edge.works.order(("pause_queue", "mail"))
    edge.fill(30)
    edge.works.pass_ms(50)
    assert edge.lane.wanted == 2

    edge.works.order()
    assert edge.begun == 2
    edge.works.pass_ms(50)
    edge.acknowledge()

    assert edge.begun == SLOTS


def test_suspects_that_wait_for_children_hold_up_nobody(edge: Edge) -> None:
    edge.lane.suspect_before = 500
    edge.lane.limit(500)
    edge.works.child.slots = 1
    edge.fill(505)
    assert edge.works.child.busy == 500

    edge.works.pass_ms(50)
    edge.acknowledge()

    assert edge.begun == SLOTS


def test_what_waits_beyond_is_cancelled_paused_and_dropped_like_all_that_waits(edge: Edge) -> None:
    edge.fill(5)
    edge.works.order(("cancel", "003"))
    assert [d.id for d, _ in edge.works.decided] == ["003"]

    edge.works.order(("pause_queue", "mail"))
    edge.acknowledge()
    edge.works.pass_ms(50)
    assert edge.begun == 2
    edge.works.order()
    assert edge.works.hand.started == ["000", "001", "002", "004"]

    edge.lane.limit(6)
    shop = edge.works.shop
    edge.works.accept(edge.lane, shop.send("last"), shop.send("never"))
    assert edge.works.kept(edge.lane) == {"never": UNANNOUNCED}
    edge.works.engine.drain(edge.lane)
    assert not edge.works.kept(edge.lane)
    edge.acknowledge()
    assert "never" not in edge.works.hand.started


def hanging(edge: Edge, count: int) -> None:
    """So many jobs for threads, none of which ends, and then one for the loop."""
    works, shop, threads = edge.works, edge.works.shop, ByHand()
    works.engine.executors = {**works.engine.executors, THREAD: threads}
    shop.specs["other"] = replace(shop.specs["other"], executor=THREAD)
    works.accept(
        edge.lane, *(shop.send(f"hang{n}", "other") for n in range(count)), shop.send("quick")
    )
    for _ in range(100):
        edge.acknowledge()
        works.pass_ms(50)


def test_what_another_executor_can_run_is_not_kept_behind_one_that_is_full(edge: Edge) -> None:
    hanging(edge, 3 * FLOOR)

    assert edge.works.hand.started == ["quick"]


def test_what_is_announced_for_an_idle_executor_has_an_end(edge: Edge) -> None:
    hanging(edge, 100 * FLOOR)

    assert edge.works.hand.started == []
    assert edge.lane.may_begin < 10 * FLOOR
