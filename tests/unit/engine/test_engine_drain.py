"""Draining in the engine: what runs may end and settle, nothing more starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.outcome import Raised
from jobstream_processors.core.retry import Backoff

if TYPE_CHECKING:
    from tests.unit.shop import Works

FAILED = Raised("builtins.OSError", "no", ("builtins.OSError",))


def test_records_for_an_ended_or_draining_lane_are_not_begun(works: Works) -> None:
    lane, ended, shop = works.lane(), works.lane(1), works.shop
    works.engine.drain(lane)
    works.engine.end(ended)

    works.accept(lane, shop.send("a"))
    works.accept(ended, shop.put(shop.event("b"), partition=1))

    assert works.hand.started == []
    assert lane.watermark.begun == 0
    assert ended.watermark.begun == 0


def test_draining_lets_runs_settle_and_starts_nothing_more(works: Works) -> None:
    # Given one run, one that waits for a slot and one that waits for a key
    lane, shop = works.lane(), works.shop
    works.hand.slots = 1
    works.accept(lane, shop.send("runs", key="k"), shop.send("slot"), shop.send("keyed", key="k"))

    # When the lane drains, then only the run is waited for
    works.engine.drain(lane)
    assert works.engine.under_way([lane]) != []
    works.end("runs")
    assert works.engine.under_way([lane]) != []
    works.settle()

    assert works.engine.under_way([lane]) == []
    assert works.hand.started == ["runs"]
    assert works.hand.waiting == []
    assert lane.watermark.position == 1


def test_draining_one_lane_leaves_the_others_alone(works: Works) -> None:
    lane, other, shop = works.lane(), works.lane(1), works.shop
    works.hand.slots = 0
    works.accept(lane, shop.send("a"))
    works.accept(other, shop.put(shop.event("b"), partition=1))

    works.engine.drain(lane)

    assert works.engine.under_way([lane]) == []
    assert works.engine.under_way([other]) != []
    assert [d.id for d in works.hand.waiting] == ["b"]


def test_a_job_that_waits_in_place_is_left_to_the_next_owner(works: Works) -> None:
    backoff = Backoff(attempts=3, first="2s", factor=1, jitter=False)
    works.shop.handle("held", backoff=backoff, holds_key=True)
    lane = works.lane()
    works.accept(lane, works.shop.send("a", "held", key="k"))
    works.end("a", FAILED)
    works.settle()

    works.engine.drain(lane)
    works.pass_ms(60_000)

    assert works.engine.under_way([lane]) == []
    assert works.hand.started == ["a"]
    assert lane.watermark.position == 0


def test_a_failure_while_draining_settles_and_does_not_park(works: Works) -> None:
    works.shop.handle("held", holds_key=True)
    lane = works.lane()
    works.accept(lane, works.shop.send("a", "held", key="k"))

    works.engine.drain(lane)
    works.end("a", FAILED)
    works.settle()
    works.pass_ms(60_000)

    assert works.shop.told() == [("parked", "a", "")]
    assert works.engine.under_way([lane]) == []
    assert works.hand.started == ["a"]


def test_draining_a_lane_that_has_ended_changes_nothing(works: Works) -> None:
    # Given a lane that ended while a job of it runs, and a worker that drains all it knew
    lane, shop = works.lane(), works.shop
    works.accept(lane, shop.send("runs", key="k"))
    works.engine.end(lane)
    works.engine.drain(lane)

    # When the job ends, then nothing of it is left
    works.end("runs", FAILED)

    assert works.engine.idle
    assert lane not in works.engine.rooms
    assert works.decided == []
