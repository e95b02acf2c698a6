"""Operators' pauses in the engine: what is held, what goes on, and what starts when they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.deaths import PAUSE_MS_FIRST
from jobstream_processors.core.orders import CANCEL, PAUSE_QUEUE, PAUSE_TYPE, QUIET
from jobstream_processors.core.outcome import DeclaredDead, Raised

if TYPE_CHECKING:
    from tests.unit.shop import Works

FAILED = Raised("builtins.OSError", "no", ("builtins.OSError",))
DEAD = DeclaredDead("dead_by_handler", "gone")


def test_a_paused_queue_starts_nothing_and_what_runs_goes_on(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.hand.slots = 1
    works.accept(lane, shop.send("runs"), shop.send("waits"))

    works.order((PAUSE_QUEUE, "mail"))
    works.accept(lane, shop.send("later"))
    works.end("runs")
    works.settle()
    works.pass_ms(60_000)

    assert works.hand.started == ["runs"]
    assert lane.watermark.position == 1
    assert shop.told() == [("job", "runs", "done")]


def test_resuming_starts_what_was_held_in_queue_order(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.hand.slots = 1
    works.accept(lane, *(shop.send(job_id) for job_id in ("a", "b", "c")))
    works.order((PAUSE_QUEUE, "mail"))
    works.accept(lane, shop.send("d"))
    works.end("a")

    works.hand.slots = 9
    works.order()

    assert works.hand.started == ["a", "b", "c", "d"]


def test_a_pause_of_another_queue_and_quiet_hold_nothing_here(works: Works) -> None:
    lane = works.lane()
    works.order((PAUSE_QUEUE, "other"), (QUIET, "*"), (CANCEL, "else"))

    works.accept(lane, works.shop.send("a"))

    assert works.hand.started == ["a"]


def test_a_lane_that_begins_under_a_pause_starts_nothing(works: Works) -> None:
    works.order((PAUSE_QUEUE, "mail"))
    lane = works.lane()

    works.accept(lane, works.shop.send("a"))

    assert works.hand.started == []
    works.order()
    assert works.hand.started == ["a"]


def test_a_retry_in_place_that_is_due_waits_for_the_end_of_the_pause(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.accept(lane, shop.send("a", "held", key="k"))
    works.end("a", FAILED)
    works.settle()
    works.order((PAUSE_QUEUE, "mail"))

    works.pass_ms(10_000)
    assert works.hand.started == ["a"]

    works.order()
    assert works.hand.started == ["a", "a"]


def test_a_paused_type_is_set_aside_and_others_of_the_partition_go_on(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.hand.slots = 1
    works.accept(lane, shop.send("runs"), shop.send("s1"), shop.send("o1", "other"))

    works.order((PAUSE_TYPE, "send"))
    works.accept(lane, shop.send("s2"), shop.send("o2", "other"))
    works.hand.slots = 9
    works.end("runs")
    works.hand.waiting, waiting = [], works.hand.waiting
    for delivery in waiting:
        works.hand.submit(delivery)

    assert works.hand.started == ["runs", "o1", "o2"]
    assert list(works.kept(lane)) == ["s1", "s2"]
    works.order()
    assert works.hand.started == ["runs", "o1", "o2", "s1", "s2"]


def test_one_type_resumed_while_another_stays_paused(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.order((PAUSE_TYPE, "send"), (PAUSE_TYPE, "other"))
    works.accept(lane, shop.send("s"), shop.send("o", "other"))
    assert works.hand.started == []

    works.order((PAUSE_TYPE, "other"))

    assert works.hand.started == ["s"]
    assert list(works.kept(lane)) == ["o"]


def test_a_type_is_paused_under_the_name_its_jobs_were_written_with(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    shop.specs["other"] = shop.specs["send"]  # "other" is an alias of it

    works.order((PAUSE_TYPE, "other"))
    works.accept(lane, shop.send("new"), shop.send("old", "other"))

    assert works.hand.started == ["new"]


def test_order_within_a_key_holds_while_its_first_job_is_set_aside(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.order((PAUSE_TYPE, "send"))
    works.accept(lane, shop.send("first", key="k"), shop.send("second", "other", key="k"))
    assert works.hand.started == []

    works.order()
    assert works.hand.started == ["first"]
    works.end("first")
    assert works.hand.started == ["first", "second"]


def test_a_lane_that_ends_under_a_pause_leaves_nothing_behind(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.order((PAUSE_QUEUE, "mail"), (PAUSE_TYPE, "send"))
    works.accept(lane, shop.send("a"), shop.send("b", "other"))

    works.engine.drain(lane)
    works.order()
    assert works.engine.under_way([lane]) == []
    works.engine.end(lane)
    works.order()
    works.pass_ms(1_000)

    assert works.hand.started == []
    assert shop.rows() == []


def test_the_flood_guard_stays_closed_when_a_pause_ends(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.floods.limit = 1
    works.accept(lane, shop.send("dies"))
    works.end("dies", DEAD)
    works.settle()
    works.order((PAUSE_QUEUE, "mail"))
    works.accept(lane, shop.send("a"), shop.send("b"))

    works.pass_ms(PAUSE_MS_FIRST)
    assert works.hand.started == ["dies"], "no probe while the queue is paused"
    works.order()
    assert works.hand.started == ["dies", "a"], "one probe, and no more"
    works.end("a")
    works.pass_ms(50)
    assert works.hand.started == ["dies", "a", "b"]


def test_a_flood_guard_looks_for_a_probe_that_may_run(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.floods.limit = 1
    works.accept(lane, shop.send("dies"))
    works.end("dies", DEAD)
    works.settle()
    works.order((PAUSE_TYPE, "send"))
    works.accept(lane, shop.send("a"), shop.send("o", "other"))

    works.pass_ms(PAUSE_MS_FIRST)

    assert works.hand.started == ["dies", "o"]


def test_nothing_begins_while_the_group_is_silent_and_all_goes_on_after(works: Works) -> None:
    # Given one run, one that waits for a slot, and one that is due later
    lane, shop = works.lane(), works.shop
    works.hand.slots = 1
    works.accept(lane, shop.send("runs"), shop.send("slot"))

    # When the group is silent, then what runs may end, and nothing begins
    works.engine.tick(silent=True)
    works.hand.slots = 1_000
    works.accept(lane, shop.send("fresh"))
    works.end("runs")
    works.engine.tick(silent=True)
    assert works.hand.started == ["runs"]

    # And when it is heard again, all of it begins, in order
    works.engine.tick()
    assert works.hand.started == ["runs", "slot", "fresh"]
