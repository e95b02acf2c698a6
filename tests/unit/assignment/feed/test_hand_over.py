"""The feed gives partitions back cleanly, and serves none that it does not own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream_processors.assignment.departures import RESTORED_MS_MAX
from jobstream_processors.assignment.pressure import Limits
from jobstream_processors.errors import TableUnavailable, WorkerStopped
from jobstream_processors.ports import Position

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.assignment.feed.conftest import Desk
    from tests.unit.shop import Shop


def test_nothing_is_delivered_before_the_table_is_restored(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk(ready=False)
    desk.fill(3)
    desk.turns()

    assert desk.handed == []
    assert desk.feed.served() == []


def test_a_lane_restored_after_it_was_revoked_is_not_served(
    new_desk: Callable[..., Desk], shop: Shop
) -> None:
    desk = new_desk(ready=False)
    desk.fill(3)
    desk.turns()
    first = desk.to_prepare[:]
    shop.broker.rebalance()
    desk.turns()

    for lane in first:
        desk.restore(lane, 0)
    desk.turns()

    assert desk.handed == []
    assert desk.feed.served() == []


def test_a_lane_that_can_not_be_served_ends_the_next_turn(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk(ready=False).turns()
    desk.feed.failed(TableUnavailable("locked"))

    with pytest.raises(TableUnavailable, match="locked"):
        desk.feed.cycle(0)


def test_revoked_partitions_are_drained_and_committed_as_clean(
    new_desk: Callable[..., Desk],
) -> None:
    desk = new_desk().turns()
    desk.fill(3)
    desk.turns()
    desk.finish(0, 1)
    lane = desk.lane()

    desk.source.close()

    assert lane in desk.drained
    assert desk.committed() == Position(2, "clean:7")
    assert desk.feed.partitions() == []
    assert desk.feed.served() == []


def test_a_partition_revoked_before_its_suspects_are_through_says_so(
    new_desk: Callable[..., Desk],
) -> None:
    desk = new_desk().turns()
    desk.fill(3)
    desk.turns()
    desk.finish(0)
    desk.lane().suspect_before = 3

    desk.source.close()

    assert desk.committed() == Position(1, "clean:7:3")


def test_a_partition_revoked_before_its_claim_commits_nothing(
    new_desk: Callable[..., Desk],
) -> None:
    desk = new_desk(ready=False).turns()
    assert len(desk.to_prepare) == 2

    desk.feed.close()

    assert not any(arrival.live for arrival in desk.to_prepare)
    assert desk.drained == []
    assert desk.committed() is None


def test_a_partition_revoked_just_after_it_was_restored_is_handed_over_cleanly(
    new_desk: Callable[..., Desk],
) -> None:
    desk = new_desk(ready=False).turns()
    (arrival,) = [each for each in desk.to_prepare if each.source == desk.place()]
    desk.restore(arrival, 0)

    desk.feed.close()

    assert desk.handed_over == [arrival.lane]
    assert desk.committed() == Position(0, "clean:7")
    assert desk.committed(1) is None


@pytest.mark.parametrize("in_time", [True, False])
def test_a_partition_revoked_while_it_is_restored_is_waited_for_a_little(
    new_desk: Callable[..., Desk], shop: Shop, *, in_time: bool
) -> None:
    desk = new_desk(ready=False).turns()
    (arrival,) = [each for each in desk.to_prepare if each.source == desk.place()]
    arrival.claim = 7
    desk.leaving = True
    desk.turns()
    shop.clock.advance(RESTORED_MS_MAX - 1)
    desk.turns()
    assert not desk.feed.left
    assert arrival.live

    if in_time:
        desk.restore(arrival, 0)
    else:
        shop.clock.advance(1)
    desk.turns()

    assert desk.feed.left
    assert (arrival.lane in desk.handed_over, arrival.live) == (in_time, in_time)


def test_a_lane_that_departs_anew_is_handed_over_once(
    new_desk: Callable[..., Desk], shop: Shop
) -> None:
    """It drained as its dedup topic was made anew, and then its process was told to leave."""
    desk = new_desk()
    shop.log.topic_id(shop.plan.dedup)
    desk.turns()
    lane = desk.lane()
    desk.running[lane.source] = 1
    shop.broker.recreate_topic(shop.plan.dedup)
    shop.log.topic_id(shop.plan.dedup, anew=True)
    shop.clock.advance(Limits().commit_ms)
    desk.turns()
    assert desk.drained.count(lane) == 1
    assert lane not in desk.handed_over

    desk.leaving = True
    desk.turns()
    del desk.running[lane.source]
    desk.turns()

    assert desk.handed_over.count(lane) == 1


def test_lost_partitions_are_ended_and_nothing_is_committed(
    new_desk: Callable[..., Desk], shop: Shop
) -> None:
    desk = new_desk(Limits(commit_ms=10)).turns()
    desk.fill(3)
    desk.turns()
    desk.finish(0, 1)
    lane = desk.lane()

    desk.feed.lost([desk.place()])
    shop.clock.advance(10)
    desk.turns()

    assert desk.ended == [lane]
    assert desk.drained == []
    assert desk.committed() is None
    assert desk.place() not in {each.source for each, _ in desk.feed.partitions()}


def test_records_of_a_partition_without_a_lane_are_ignored(
    new_desk: Callable[..., Desk], shop: Shop
) -> None:
    desk = new_desk().turns()
    desk.feed.lost([desk.place()])
    desk.fill(3)
    desk.fill(1, partition=1)

    desk.turns()

    assert desk.handed == [(shop.plan.topic, 0)]


def test_a_process_that_slept_past_its_session_polls_no_more(
    new_desk: Callable[..., Desk], shop: Shop
) -> None:
    desk = new_desk().turns()
    shop.clock.advance(10_001)

    with pytest.raises(WorkerStopped, match="stood still for 10001 ms"):
        desk.feed.cycle(0)
