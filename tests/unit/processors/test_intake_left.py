"""Jobs that the last owner had begun and was not through with when it gave the partition back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.processors.takeover.conftest import Bureau

from jobstream_processors.core.watermark import Watermark
from jobstream_processors.handover import clean_note, left_of
from jobstream_processors.places import in_topic
from jobstream_processors.ports import Position
from jobstream_processors.unfinished import left

if TYPE_CHECKING:
    from tests.unit.processors.conftest import Shop, Works


def test_a_job_that_is_done_gets_its_row_and_no_second_start(works: Works) -> None:
    lane = works.lane()
    lane.left = left_of([(0, 1)], [])

    works.accept(lane, works.shop.send("done"), works.shop.send("fresh"))
    works.settle()

    assert works.hand.started == ["fresh"]
    assert works.shop.told() == [("job", "done", "done")]
    assert lane.watermark.position == 1


def test_a_run_that_may_go_on_elsewhere_is_waited_for_and_its_key_too(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    lane.left = left_of([], [(0, 1, shop.clock.broker_ms() + 5_000)])

    works.accept(lane, shop.send("cut", key="k"), shop.send("next", key="k"), shop.send("other"))
    assert works.hand.started == ["other"]
    works.pass_ms(4_999)
    assert works.hand.started == ["other"]
    works.pass_ms(1)

    assert works.hand.started == ["other", "cut"]
    works.end("cut")
    assert works.hand.started == ["other", "cut", "next"]


def test_a_row_of_the_table_decides_before_any_note(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    record = shop.send("a")
    (delivery,) = shop.deliver(shop.lane(), record)
    shop.intake.release(delivery)
    lane.shard.put_done([("a", *delivery.identity())])
    lane.left = left_of([], [(0, 1, shop.clock.broker_ms() + 5_000)])

    works.accept(lane, record)

    assert lane.watermark.position == 1


def test_what_an_owner_was_told_it_tells_the_next_one(works: Works) -> None:
    """It gives the partition back before it could begin what runs elsewhere, or read it."""
    lane, shop = works.lane(), works.shop
    now_ms = shop.clock.broker_ms()
    lane.left = left_of([(2, 4)], [(0, 2, now_ms + 5_000), (4, 6, now_ms + 1_000)])
    works.accept(lane, shop.send("first"), shop.send("second"), shop.send("done"))
    works.pass_ms(1_000)
    works.engine.drain(lane)

    told = left(lane, works.engine.unfinished(lane), shop.clock)

    assert told.runs == ((0, 2, now_ms + 5_000),)
    assert told.ended == ((2, 3), (3, 4)), "the row of the one that was read is not acknowledged"


def test_what_is_left_names_runs_until_their_limit_and_done_jobs_without_a_row(
    works: Works,
) -> None:
    lane, shop = works.lane(), works.shop
    shop.handle("slow", timeout_ms=8_000)
    works.accept(lane, shop.send("runs", "slow"), shop.send("done"), shop.send("waits"))
    works.hand.hosted["waits"].running = False
    works.end("done")
    works.engine.drain(lane)

    told = left(lane, works.engine.unfinished(lane), shop.clock)

    assert told.ended == ((1, 2),)
    ((low, high, until_ms),) = told.runs
    assert (low, high) == (0, 1)
    assert until_ms >= shop.clock.broker_ms() + 8_000


def test_what_is_left_names_runs_of_earlier_lanes_that_the_watermark_has_not_passed(
    works: Works,
) -> None:
    old, shop = works.lane(), works.shop
    beside = works.lane(partition=1)
    shop.handle("slow", timeout_ms=8_000)
    passed, slow = shop.send("passed"), shop.send("runs", "slow")
    works.accept(old, passed, slow)
    works.accept(beside, shop.put(shop.event("elsewhere"), partition=1))
    works.engine.end(old)
    lane = works.lane()
    lane.watermark = Watermark(1)
    works.accept(lane, slow)
    works.engine.drain(lane)

    told = left(lane, works.engine.unfinished(lane), shop.clock)

    ((low, high, until_ms),) = told.runs
    assert (low, high) == (1, 2)
    assert until_ms >= shop.clock.broker_ms() + 8_000


def test_what_the_last_owner_was_not_through_with_reaches_the_lane(shop: Shop) -> None:
    bureau = Bureau(shop)
    bureau.fill(10)
    before, _ = bureau.take()
    left = left_of([(2, 3)], [(4, 6, 1_800_000_000_000)])

    after, _ = bureau.take(Position(2, clean_note(before.claim, 2, 0, left)))
    stranger, _ = bureau.take(Position(2, clean_note(before.claim, 2, 0, left)))

    assert after.left == left
    # The owner in between may have run what was ended; what was cut goes on whoever owns it.
    assert stranger.left == left_of([], left.runs)


def test_what_was_cut_goes_on_though_its_topic_was_made_anew(shop: Shop) -> None:
    """Its owner may have read on in the new topic before it heard of that."""
    bureau = Bureau(shop)
    bureau.fill(10)
    before, _ = bureau.take()
    left = left_of([(2, 3)], [(4, 6, 1_800_000_000_000)])
    told = in_topic(Position(2, clean_note(before.claim, 2, 0, left)), before.topic_id)
    shop.broker.recreate_topic(shop.plan.topic)
    shop.log.topic_id(shop.plan.topic, anew=True)

    after, start = bureau.take(told)

    assert (start, after.left) == (0, left_of([], left.runs))
