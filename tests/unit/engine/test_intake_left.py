"""Jobs that the last owner had begun and was not through with when it gave the partition back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.assignment.takeover.conftest import Bureau

from jobstream_processors.assignment.handover import clean_note, left_of
from jobstream_processors.core.headers import Carried
from jobstream_processors.core.known import Known
from jobstream_processors.core.orders import CANCEL
from jobstream_processors.core.outcome import Interrupted
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.engine.unfinished import LIMIT_MARGIN_MS, left
from jobstream_processors.ports import Position
from jobstream_processors.topic_marks import in_topic
from jobstream_schemas import JobCodec, Meta

if TYPE_CHECKING:
    from tests.unit.shop import Shop, Works

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.ports import Record


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


ENDS = {
    "cancelled": "cancelled",
    "cancelled beforehand": "cancelled",
    "expired": "expired",
    "expired beforehand": "expired",
    "of an unknown type": "moved",
    "crashed": "dead",
    "settled": "",
}
"""Why a job ends without a run, and what its row says then."""


@pytest.mark.parametrize("why", ENDS)
@pytest.mark.parametrize("where", ["elsewhere", "here"])
def test_a_job_that_ends_without_a_run_keeps_its_key_while_a_run_of_it_may_go_on(
    works: Works, where: str, why: str
) -> None:
    # Given a job whose run goes on out of its lane's hands
    shop = works.shop
    expires_in_ms = {"expired": 5_000, "expired beforehand": 5}.get(why)
    event = shop.event("cut", "other", order_key="k", expires_in_ms=expires_in_ms)
    lane, record = cut_run(works, where, event)
    begun = works.hand.started[:]

    # When something ends it without a run, by the time it is taken up or while it waits
    if why == "cancelled beforehand":
        works.order((CANCEL, "cut"))
    if why == "crashed":
        lane.shard.merge([("cut", Known(crashes=(0, 3)))])
    if why == "of an unknown type":
        del shop.specs["other"]
    works.accept(lane, record, shop.send("next", key="k"), shop.send("last", key="k"))
    if why == "cancelled":
        works.order((CANCEL, "cut"))
    if why == "settled":
        lane.shard.merge([("cut", Known(done=True))])
    works.pass_ms(30_000)
    works.settle()

    # Then it has no end, and the next one no start, before that run is over
    assert (works.hand.started, shop.rows()) == (begun, [])
    works.pass_ms(LIMIT_MARGIN_MS)
    works.settle()
    assert works.hand.started == [*begun, "next"]
    assert [row.state or row.kind for row in shop.rows()] == ([ENDS[why]] if ENDS[why] else [])
    works.end("next")
    assert works.hand.started == [*begun, "next", "last"]
    works.end("last")
    works.settle()
    assert lane.watermark.position == 3


@pytest.mark.parametrize("holds", [True, False])
def test_the_run_here_is_over_before_its_limit(works: Works, *, holds: bool) -> None:
    shop = works.shop
    job = "held" if holds else "send"
    lane, record = cut_run(works, "here", shop.event("cut", job, order_key="k"))
    works.order((CANCEL, "cut"))
    works.accept(lane, record, shop.send("next", job, key="k"))

    works.end("cut", Interrupted())

    assert works.hand.started == (["cut"] if holds else ["cut", "next"])
    works.settle()
    assert works.hand.started == ["cut", "next"]
    assert shop.told() == [("job", "cut", "cancelled")]


def cut_run(works: Works, where: str, event: bytes) -> tuple[Lane, Record]:
    """A lane, and the record of a job that runs out of its hands for as long as its limit."""
    shop = works.shop
    record = shop.put(event)
    if where == "here":
        before = works.lane()
        works.accept(before, record)
        works.engine.end(before)
    works.pass_ms(10)
    lane = works.lane()
    if where == "elsewhere":
        lane.left = left_of([], [(0, 1, shop.clock.broker_ms() + 30_000 + LIMIT_MARGIN_MS)])
    return lane, record


def test_one_that_waits_for_its_turn_and_for_a_run_keeps_its_place_though_cancelled(
    works: Works,
) -> None:
    # Given two jobs of a key that may both run elsewhere, the second one longer
    lane, shop = works.lane(), works.shop
    now_ms = shop.clock.broker_ms()
    lane.left = left_of([], [(0, 1, now_ms + 1_000), (1, 2, now_ms + 5_000)])
    works.accept(lane, *[shop.send(job_id, key="k") for job_id in ("first", "second", "third")])

    # When the second is cancelled, and the first is done
    works.order((CANCEL, "second"))
    works.pass_ms(1_000)
    works.end("first")
    works.settle()
    works.pass_ms(3_999)
    assert works.hand.started == ["first"]
    works.pass_ms(1)
    works.settle()

    assert works.hand.started == ["first", "third"]
    assert ("job", "second", "cancelled") in shop.told()


def test_a_cancelled_job_that_waits_for_a_run_is_told_to_the_next_owner(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    lane.left = left_of([], [(0, 1, shop.clock.broker_ms() + 5_000)])
    works.order((CANCEL, "cut"))
    works.accept(lane, shop.send("cut", key="k"))
    works.engine.drain(lane)

    assert left(lane, works.engine.unfinished(lane), shop.clock).runs == lane.left.runs


def test_a_job_that_is_done_waits_for_no_run_of_it(works: Works) -> None:
    """Were it to wait, it would be told to the next owner no more."""
    lane, record = cut_run(works, "here", works.shop.event("cut"))
    lane.left = left_of([(0, 1)], [(0, 1, works.shop.clock.broker_ms() + 5_000)])

    works.accept(lane, record)
    works.settle()

    assert works.shop.told() == [("job", "cut", "done")]


def test_a_suspect_that_waits_for_a_run_is_isolated_and_leaves_the_others_suspect(
    works: Works,
) -> None:
    # Given an owner that died with two jobs under way at most, and a job that was cut elsewhere
    lane, shop = works.lane(), works.shop
    lane.suspect_before, lane.suspects_left = 9, 2
    lane.left = left_of([], [(0, 1, shop.clock.broker_ms() + 5_000)])
    works.accept(lane, *[shop.send(job_id) for job_id in ("cut", "second", "third", "fresh")])
    assert (works.child.started, works.hand.started) == (["second", "third"], ["fresh"])

    works.pass_ms(5_000)

    assert works.child.started == ["second", "third", "cut"]
    assert lane.suspect_before == 3, "an owner that leaves now passes all three on"


def test_a_cancel_that_is_lifted_while_a_run_is_waited_for_ends_nothing(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    lane.left = left_of([], [(0, 1, shop.clock.broker_ms() + 5_000)])
    works.order((CANCEL, "cut"))
    works.accept(lane, shop.send("cut", key="k"))

    works.order()
    works.pass_ms(5_000)

    assert works.hand.started == ["cut"]


def test_a_job_that_nobody_here_can_read_waits_for_its_run_before_its_retry(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    lane.left = left_of([], [(0, 1, shop.clock.broker_ms() + 5_000)])
    args = shop.codecs["send"].args(shop.event("x"))
    stranger = JobCodec(type(args), "stranger")

    works.accept(lane, shop.put(stranger.encode(Meta("cut", 1, "test"), args)))
    works.settle()
    assert shop.rows() == []
    works.pass_ms(5_000)
    works.settle()

    assert [row.kind for row in shop.rows()] == ["moved"]


def test_one_that_is_back_before_its_time_keeps_its_key_while_a_run_of_it_may_go_on(
    works: Works,
) -> None:
    lane, shop = works.lane(), works.shop
    now_ms = shop.clock.broker_ms()
    lane.left = left_of([], [(0, 1, now_ms + 5_000)])
    early = shop.put(shop.event("early", order_key="k"), Carried(seq=1, due_ms=now_ms + 600_000))

    works.accept(lane, early, shop.send("next", key="k"))
    works.settle()
    assert (works.hand.started, shop.rows()) == ([], [])
    works.pass_ms(5_000)
    works.settle()

    assert works.hand.started == ["next"]
    assert shop.told() == [("moved", "early", "")]


def test_a_row_of_the_table_decides_before_any_note(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    record = shop.send("a")
    (delivery,) = shop.deliver(shop.lane(), record)
    shop.judge.release(delivery)
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
    works.hand.slots = 2
    works.accept(lane, shop.send("runs", "slow"), shop.send("done"), shop.send("waits"))
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
