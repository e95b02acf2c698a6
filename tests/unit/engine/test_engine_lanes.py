"""The engine over time: offsets finish, the same id again waits, an ended lane finishes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream_processors.core.headers import Carried
from jobstream_processors.core.orders import CANCEL
from jobstream_processors.core.outcome import (
    DONE,
    RETURNED,
    Cancelled,
    Interrupted,
    Raised,
    TimedOut,
)
from jobstream_processors.delivery import LEFT
from jobstream_processors.engine.unfinished import LIMIT_MARGIN_MS

if TYPE_CHECKING:
    from tests.unit.shop import Works

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.ports import Record

FAILED = Raised("builtins.OSError", "no", ("builtins.OSError",))


def left_behind(works: Works, record: Record) -> Lane:
    """A lane that has ended while the job of that record, which it began, runs on."""
    lane = works.lane()
    works.accept(lane, record)
    works.engine.end(lane)
    return lane


def test_offsets_finish_in_any_order_and_the_watermark_has_no_gap(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.accept(lane, *(shop.send(job_id) for job_id in "abc"))

    works.end("c")
    works.end("a")
    works.settle()
    assert lane.watermark.position == 1
    assert lane.watermark.ranges() == [(2, 3)]

    works.end("b")
    works.settle()
    assert lane.watermark.position == 3
    assert works.engine.idle


def test_a_job_is_not_finished_while_its_copy_is_not_acknowledged(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.accept(lane, shop.send("a"))
    shop.broker.fail_publishes(1)

    works.end("a", FAILED)
    works.settle()
    assert lane.watermark.position == 0
    assert not works.engine.idle

    works.settle()
    assert lane.watermark.position == 1


def test_the_same_id_again_waits_and_is_dropped_when_the_first_is_done(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    event = shop.event("a")
    works.accept(lane, *(shop.put(event) for _ in range(3)))
    assert works.hand.started == ["a"]

    works.end("a")
    works.settle()

    assert works.hand.started == ["a"]
    assert lane.returned == 3
    assert lane.watermark.position == 3
    assert shop.told() == [("job", "a", "done")]


def test_a_redriven_copy_runs_after_the_first_was_cancelled(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    event = shop.event("a")
    works.accept(lane, shop.put(event), shop.put(event, Carried(redrive=1)), shop.put(event))

    works.end("a", Cancelled("not wanted"))
    works.settle()
    assert works.hand.started == ["a", "a"]
    assert works.hand.hosted["a"].carried.redrive == 1

    # The third waits for the second, and is of the redrive that is over
    works.end("a")
    works.settle()
    assert works.hand.started == ["a", "a"]
    assert lane.watermark.position == 3


def test_an_outcome_of_an_ended_lane_finishes_nothing(works: Works) -> None:
    old, shop = works.lane(), works.shop
    works.accept(old, shop.send("a"))

    works.engine.end(old)
    assert works.hand.interrupted == [old]
    works.end("a", DONE)
    works.settle()

    assert old.watermark.position == 0
    assert shop.rows() == []
    assert works.engine.idle


def test_a_decision_on_its_way_finishes_nothing_once_the_lane_has_ended(works: Works) -> None:
    old, shop = works.lane(), works.shop
    works.accept(old, shop.send("a"))
    job = works.end("a", DONE)
    works.engine.flush()
    settled, _ = works.settler.settle(works.decided)

    works.engine.end(old)
    works.engine.settled(settled)

    assert old.watermark.position == 0
    assert job.stage is LEFT


def test_a_new_owner_here_runs_what_the_old_one_had_decided_in_vain(works: Works) -> None:
    # Given a job that has ended, and a lane that is lost before that is settled
    old, shop = works.lane(), works.shop
    record = shop.send("a")
    works.accept(old, record)
    works.end("a")
    works.engine.end(old)
    works.settle()
    assert shop.rows() == []

    # When the same partition is assigned anew and delivers the job again
    new = works.lane()
    works.accept(new, record)

    # Then it runs, and does not wait for a decision that was dropped
    assert works.hand.started == ["a", "a"]
    works.end("a")
    works.settle()
    assert new.watermark.position == 1
    assert works.engine.idle


@pytest.mark.parametrize("end", ["drain", "end"])
def test_who_waits_in_another_lane_runs_when_the_first_lane_goes(works: Works, end: str) -> None:
    # Given one id in two partitions, the first of them waiting for a slot
    shop = works.shop
    works.hand.slots = 0
    here, there = works.lane(0), works.lane(1)
    event = shop.event("a")
    works.accept(here, shop.put(event, partition=0))
    works.accept(there, shop.put(event, partition=1))
    works.hand.slots = 1

    # When its partition is taken away
    getattr(works.engine, end)(here)

    # Then the other delivery runs
    assert works.hand.started == ["a"]
    works.end("a")
    works.settle()
    assert there.watermark.position == 1
    assert works.engine.idle


def test_a_new_owner_here_runs_what_outlived_its_limit_and_its_lane(works: Works) -> None:
    old, shop = works.lane(), works.shop
    record = shop.send("a")
    works.accept(old, record)
    outlived = works.end("a", TimedOut(30_000), running=True)
    works.engine.end(old)
    works.settle()
    new = works.lane()
    works.accept(new, record)
    assert works.hand.started == ["a"]

    works.engine.returned(outlived)

    assert works.hand.started == ["a", "a"]


def test_a_new_owner_here_waits_for_the_run_of_the_old_one(works: Works) -> None:
    # Given a run that goes on although its lane has ended
    record = works.shop.send("a")
    old = left_behind(works, record)

    # When the same partition is assigned anew and delivers the job again
    new = works.lane()
    works.accept(new, record)
    assert works.hand.started == ["a"]

    # Then it starts once the old run is over, and only that run finishes the offset
    works.end("a", Interrupted())
    assert works.hand.started == ["a", "a"]
    works.end("a")
    works.settle()
    assert (old.watermark.position, new.watermark.position) == (0, 1)


def test_a_run_that_its_lane_left_behind_keeps_its_order_key(works: Works) -> None:
    # Given a run that goes on although its lane has ended, and the next job of its key
    first, second = works.shop.send("a", key="k"), works.shop.send("b", key="k")
    left_behind(works, first)

    # When the same partition is assigned anew and delivers both
    new = works.lane()
    works.accept(new, first, second)

    # Then neither starts beside it, and both follow in their order
    assert works.hand.started == ["a"]
    works.end("a", Interrupted())
    assert works.hand.started == ["a", "a"]
    works.end("a")
    assert works.hand.started == ["a", "a", "b"]
    works.end("b")
    works.settle()
    assert new.watermark.position == 2
    assert works.engine.idle


def test_a_cancelled_job_keeps_its_order_key_while_a_run_of_it_that_was_left_behind_goes_on(
    works: Works,
) -> None:
    # Given a run whose lane has ended, and the same job and the next of its key in a new lane
    first, second = works.shop.send("a", key="k"), works.shop.send("b", key="k")
    left_behind(works, first)
    works.accept(works.lane(), first, second)

    # When an operator cancels the job
    works.order((CANCEL, "a"))
    assert works.hand.started == ["a"]

    # Then it ends, and the next one starts, once that run is over
    works.end("a", Interrupted())
    works.loop.call_soon(works.loop.stop)
    works.loop.run_forever()
    works.settle()
    assert works.hand.started == ["a", "b"]
    assert works.shop.told() == [("job", "a", "cancelled")]


def test_a_run_that_two_lanes_left_behind_is_waited_for_by_the_third(works: Works) -> None:
    # Given a run whose lane has ended, and the lane after it, which waited for the run
    record = works.shop.send("a", key="k")
    left_behind(works, record)
    between = works.lane()
    works.accept(between, record)
    works.engine.end(between)

    # When the partition comes once more
    new = works.lane()
    works.accept(new, record)

    # Then the job starts when the run is over, and not beside it
    assert works.hand.started == ["a"]
    works.end("a", Interrupted())
    assert works.hand.started == ["a", "a"]
    works.end("a")
    works.settle()
    assert new.watermark.position == 1
    assert works.engine.idle


def test_a_run_that_is_left_behind_is_waited_for_until_its_limit(works: Works) -> None:
    first = works.shop.send("a", key="k")
    left_behind(works, first)
    new = works.lane()
    works.accept(new, first)

    works.pass_ms(30_000)
    assert works.hand.started == ["a"]
    works.pass_ms(LIMIT_MARGIN_MS)

    assert works.hand.started == ["a", "a"]


def test_a_new_owner_here_waits_for_the_time_limit_of_the_old_run_at_most(works: Works) -> None:
    record = works.shop.send("a")
    left_behind(works, record)
    new = works.lane()
    works.accept(new, record)

    works.end("a", TimedOut(30_000), running=True)

    assert works.hand.started == ["a", "a"]


def test_an_interrupted_run_writes_nothing_and_is_over(works: Works) -> None:
    lane = works.lane()
    works.accept(lane, works.shop.send("a"))

    works.end("a", Interrupted())
    works.settle()

    assert works.shop.rows() == []
    assert works.engine.idle
    assert lane.watermark.position == 0


def test_a_returned_value_is_told_once_per_job_type(
    works: Works, caplog: pytest.LogCaptureFixture
) -> None:
    lane = works.lane()
    works.accept(lane, *(works.shop.send(job_id) for job_id in "ab"))

    works.end("a", RETURNED)
    works.end("b", RETURNED)
    works.settle()

    assert caplog.messages.count("handler_returned_a_value") == 1
    assert lane.watermark.position == 2


def test_closing_releases_every_executor(works: Works) -> None:
    works.engine.close()

    assert works.hand.closed
    assert works.child.closed
