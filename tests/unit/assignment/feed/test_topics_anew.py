"""Topics that are deleted and made anew, or lose what is next, under a lane that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.assignment.pressure import Limits
from jobstream_processors.ports import Position
from jobstream_processors.topic_marks import in_topic

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from tests.unit.assignment.feed.conftest import Desk


def settled(desk: Desk, count: int) -> None:
    """Take up `count` jobs of partition 0, finish and commit them."""
    desk.fill(count)
    desk.turns()
    desk.finish(*range(count))
    desk.shop.clock.advance(Limits().commit_ms)
    desk.turns()


def test_a_commit_names_the_topic_that_it_is_a_place_in(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk()
    topic_id = desk.shop.log.topic_id(desk.shop.plan.topic)

    settled(desk, 3)

    assert desk.committed() == in_topic(Position(3), topic_id)


def test_a_lane_under_which_its_topic_was_made_anew_commits_nothing_and_begins_again(
    new_desk: Callable[..., Desk], caplog: pytest.LogCaptureFixture
) -> None:
    desk = new_desk()
    desk.shop.log.topic_id(desk.shop.plan.topic)
    settled(desk, 3)
    old = desk.lane()

    desk.shop.broker.recreate_topic(desk.shop.plan.topic)
    desk.fill(5)
    desk.turns()  # It reads on at its old place, as nobody told it.
    desk.finish(3, 4)
    desk.shop.log.topic_id(desk.shop.plan.topic, anew=True)
    desk.shop.clock.advance(Limits().commit_ms)
    desk.turns()

    assert "topic_made_anew" in caplog.messages
    assert old in desk.ended
    assert desk.committed() is None
    assert desk.lane() is not old
    assert desk.arrivals[-1].after == old.last_word(), "it need not suspect what ran here"
    assert desk.handed[-5:] == [(desk.shop.plan.topic, offset) for offset in range(5)]
    assert not desk.lane(1).refused


def test_a_lane_whose_dedup_topic_was_made_anew_drains_and_is_taken_over_again(
    new_desk: Callable[..., Desk],
) -> None:
    desk = new_desk()
    desk.shop.log.topic_id(desk.shop.plan.dedup)
    settled(desk, 3)
    old = desk.lane()

    desk.shop.broker.recreate_topic(desk.shop.plan.dedup)
    desk.shop.log.topic_id(desk.shop.plan.dedup, anew=True)
    desk.shop.clock.advance(Limits().commit_ms)
    desk.turns()

    assert old in desk.drained
    assert desk.lane() is not old
    assert desk.arrivals[-1].after == old.last_word()
    assert desk.lane() in desk.feed.served()


def test_a_lane_whose_place_gets_lost_takes_up_nothing_more_and_others_go_on(
    new_desk: Callable[..., Desk], caplog: pytest.LogCaptureFixture
) -> None:
    desk = new_desk()
    desk.fill(5)
    desk.turns()

    desk.shop.broker.cut(desk.shop.plan.topic, 0, 2)
    desk.fill(2, partition=1)
    desk.turns()
    desk.finish(0, 1)
    desk.shop.clock.advance(Limits().commit_ms)
    desk.turns()

    assert "partition_refused" in caplog.messages
    facts = {each.source: each for each in desk.facts()}
    assert (facts[desk.place()].paused, facts[desk.place()].serving) == (("not_in_log",), False)
    assert facts[desk.place(1)].serving
    assert len(desk.handed) == 7
    committed = desk.committed()
    assert committed is not None
    assert committed.offset == 2, "what it had begun ends and is committed"


def test_partitions_that_the_queue_does_not_declare_wait_and_the_others_go_on(
    new_desk: Callable[..., Desk], caplog: pytest.LogCaptureFixture
) -> None:
    desk = new_desk()
    settled(desk, 3)

    desk.shop.broker.add_partitions(desk.shop.plan.topic, 4)
    desk.fill(2, partition=3)
    desk.fill(2, partition=1)
    desk.turns()

    assert "partition_refused" in caplog.messages
    facts = {each.source: each for each in desk.facts()}
    assert [facts[desk.place(n)].serving for n in range(4)] == [True, True, False, False]
    assert facts[desk.place(3)].paused == ("undeclared",)
    assert len(desk.handed) == 5
    desk.feed.close()
    assert desk.committed(3) is None
