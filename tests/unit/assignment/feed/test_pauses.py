"""Operators' pauses in the feed: a queue, or everything, across rebalances."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobstream_processors.assignment.pressure import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from tests.unit.assignment.feed.conftest import Desk


def test_a_paused_queue_delivers_nothing_until_it_is_resumed(
    new_desk: Callable[..., Desk],
) -> None:
    desk = new_desk(Limits()).turns()
    desk.fill(2)
    desk.turns()

    desk.feed.obey({"mail"}, quiet=False)
    desk.fill(3)
    desk.turns(8)
    assert len(desk.handed) == 2

    desk.feed.obey((), quiet=False)
    desk.turns()
    assert len(desk.handed) == 5


def test_orders_that_change_no_pause_are_no_line_of_the_log(
    new_desk: Callable[..., Desk], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    desk = new_desk(Limits()).turns()

    for queues in ({"mail"}, {"mail"}, set[str](), set[str]()):
        desk.feed.obey(queues, quiet=False)
        desk.turns()

    assert caplog.messages.count("pauses_changed") == 2


def test_other_queues_go_on_and_quiet_stops_them_all(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk(Limits()).turns()
    desk.feed.obey({"reports"}, quiet=False)
    desk.fill(2)
    desk.turns()
    assert len(desk.handed) == 2

    desk.feed.obey((), quiet=True)
    desk.fill(2)
    desk.turns()
    assert len(desk.handed) == 2
    # The end of one reason is not the end of the other.
    desk.feed.obey({"mail"}, quiet=False)
    desk.turns()
    assert len(desk.handed) == 2

    desk.feed.obey((), quiet=False)
    desk.turns()
    assert len(desk.handed) == 4


def test_a_new_owner_of_a_paused_partition_delivers_nothing(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk(Limits()).turns()
    desk.feed.obey({"mail"}, quiet=False)
    desk.turns()
    desk.fill(3)
    before = desk.lane()

    desk.shop.broker.rebalance("shop")
    desk.turns(8)

    assert desk.lane() is not before
    assert desk.lane() in desk.feed.served()
    assert desk.handed == []
    desk.feed.obey((), quiet=False)
    desk.turns()
    assert len(desk.handed) == 3


def test_orders_from_before_the_first_assignment_hold_from_the_first_record(
    new_desk: Callable[..., Desk],
) -> None:
    desk = new_desk(Limits())
    desk.feed.obey({"mail"}, quiet=False)
    desk.fill(3)

    desk.turns(8)

    assert desk.handed == []


def test_what_a_pause_keeps_here_takes_no_room_from_other_queues(
    new_desk: Callable[..., Desk],
) -> None:
    desk = new_desk(Limits(handed_max=4)).turns()
    desk.fill(4)
    desk.turns()
    waits = desk.waits
    assert waits > 0

    desk.feed.obey({"mail"}, quiet=False)
    desk.turns(2)

    assert desk.waits <= waits + 1
    desk.feed.obey((), quiet=False)
    desk.turns(2)
    assert desk.waits > waits + 1


def test_jobs_of_a_paused_type_take_half_the_room_at_most(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk(Limits(handed_max=8)).turns()
    lane = desk.lane()
    lane.tell((), aside=2)
    desk.turns(1)

    # Two partitions share a room of eight: two each are set aside at most.
    desk.fill(3)
    desk.fill(3, partition=1)
    desk.turns()

    assert len(desk.handed) == 3
    lane.tell((), aside=0)
    desk.turns()
    assert len(desk.handed) == 6
