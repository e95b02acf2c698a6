"""Partitions that move, or a worker that leaves, while jobs run: nothing healthy is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.harness.member import Member
from tests.unit.assignment.feed.conftest import GROUP

from jobstream.testing import MemorySource
from jobstream_processors.assignment.departures import CUT_MS, GROUP_MARGIN_MS, ROWS_MS
from jobstream_processors.assignment.handover import Handed, Lost, left_of
from jobstream_processors.assignment.pressure import Limits
from jobstream_processors.ports import Position

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.assignment.feed.conftest import Desk
    from tests.unit.shop import Shop

    NewDesk = Callable[..., Desk]

LIMITS = Limits(drain_ms=3_000, rebalance_drain_ms=6_000, rebalance_ms=60_000)
BEAT_MS = 5_000
BOUND_MS = LIMITS.rebalance_ms - GROUP_MARGIN_MS


class Move:
    """A desk that serves both partitions, and a member that joins and is to get one of them."""

    def __init__(self, desk: Desk, shop: Shop) -> None:
        self.desk, self.shop = desk.turns(), shop
        source = MemorySource(shop.broker, GROUP, [shop.plan.topic])
        self.other = Member(source)
        source.listen(self.other)

    def begin(self, *, running: int = 0, unsettled: int = 0) -> int:
        """Revoke while that much is under way in each partition; which one is to move."""
        for partition in (0, 1):
            self.desk.running[self.desk.place(partition)] = running
            self.desk.unsettled[self.desk.place(partition)] = unsettled
        self.pass_ms(0)
        (lane,) = self.desk.drained
        return lane.source[1]

    def pass_ms(self, ms: int) -> None:
        while True:
            step = min(ms, BEAT_MS)
            ms -= step
            self.shop.clock.advance(step)
            self.desk.pulse.beat()
            for _ in range(4):
                self.other.turn()
                self.desk.turns(1)
            if not ms:
                return

    def through(self, partition: int) -> None:
        """All that ran or waited there has ended and is settled."""
        del self.desk.running[self.desk.place(partition)]
        del self.desk.unsettled[self.desk.place(partition)]


@pytest.fixture
def move(new_desk: NewDesk, shop: Shop) -> Move:
    return Move(new_desk(LIMITS), shop)


def test_a_partition_that_moves_is_kept_while_its_jobs_run(move: Move) -> None:
    moving = move.begin(running=1)

    move.pass_ms(LIMITS.rebalance_drain_ms - 1)
    assert move.other.owned == set()
    move.through(moving)
    move.pass_ms(0)

    assert move.other.owned == {move.desk.place(moving)}
    assert move.desk.cuts == []


def test_the_other_partitions_are_served_meanwhile(move: Move) -> None:
    moving = move.begin(running=1)
    move.desk.fill(2, partition=moving)
    move.desk.fill(3, partition=1 - moving)

    move.pass_ms(1)

    assert move.desk.handed == [(move.shop.plan.topic, at) for at in range(3)]


def test_what_departs_takes_no_room_from_the_others(new_desk: NewDesk, shop: Shop) -> None:
    move = Move(new_desk(Limits(window=5, handed_max=5)), shop)
    moving = move.begin(running=1)
    move.desk.lane(moving).handed = 5
    move.desk.fill(3, partition=1 - moving)

    move.pass_ms(1)

    assert move.desk.lane(1 - moving).handed == 3


def test_once_the_time_is_over_jobs_are_cut_and_the_next_owner_hears_of_them(move: Move) -> None:
    moving = move.begin(running=1)
    lane = move.desk.lane(moving)
    lane.left = left_of([], [(0, 1, 9_000)])

    move.pass_ms(LIMITS.rebalance_drain_ms)
    assert (move.desk.cuts, move.other.owned) == ([lane], set())
    move.pass_ms(CUT_MS)

    assert move.other.owned == {lane.source}
    assert move.other.committed[lane.source] == Position(0, "clean:7:::0+1!9")


def test_a_machine_that_was_suspended_takes_no_time_from_jobs(move: Move) -> None:
    move.begin(running=1)
    for _ in range(3):
        move.shop.clock.suspend(BEAT_MS)
        move.desk.pulse.beat()
        move.pass_ms(0)

    assert LIMITS.rebalance_drain_ms < 3 * BEAT_MS
    assert move.desk.cuts == []


def test_no_drain_is_longer_than_the_group_waits(new_desk: NewDesk, shop: Shop) -> None:
    move = Move(new_desk(Limits(rebalance_drain_ms=600_000, rebalance_ms=60_000)), shop)
    moving = move.begin(running=1)

    move.pass_ms(BOUND_MS - 1)
    assert move.desk.cuts == []
    move.pass_ms(1)

    assert move.desk.cuts == [move.desk.lane(moving)]


def test_ends_that_are_not_acknowledged_are_waited_for_while_the_group_waits(move: Move) -> None:
    moving = move.begin(unsettled=3)

    move.pass_ms(BOUND_MS - 1)
    assert move.other.owned == set()
    move.pass_ms(1)

    assert move.other.owned == {move.desk.place(moving)}
    assert move.desk.cuts == []


def test_who_is_told_to_leave_meanwhile_has_only_its_drain_time(move: Move) -> None:
    moving = move.begin(running=1)
    move.desk.leaving = True
    move.pass_ms(0)

    move.pass_ms(LIMITS.drain_ms)
    assert {lane.source[1] for lane in move.desk.cuts} == {0, 1}
    move.pass_ms(CUT_MS)

    assert move.desk.feed.left
    assert move.other.owned == {move.desk.place(moving)}


def test_who_leaves_waits_a_little_for_acknowledgements(move: Move) -> None:
    move.begin(unsettled=1)
    move.desk.leaving = True
    move.pass_ms(0)

    move.pass_ms(LIMITS.drain_ms + ROWS_MS - 1)
    assert not move.desk.feed.left
    move.pass_ms(1)

    assert move.desk.feed.left


def test_a_partition_that_is_lost_while_its_jobs_run_is_not_handed_over(move: Move) -> None:
    moving = move.begin(running=1)

    move.shop.broker.expire(move.desk.source.member)
    move.pass_ms(1)

    assert move.desk.place(moving) in {lane.source for lane in move.desk.ended}
    assert move.desk.committed(moving) is None
    move.desk.running.clear()
    move.pass_ms(BOUND_MS)
    assert move.desk.handed_over == []


def test_what_was_known_of_a_lost_partition_is_kept_until_it_is_served_again(move: Move) -> None:
    desk, place = move.desk, move.desk.place()
    lane = desk.lane()
    lane.suspect_before = 3
    desk.ready = False

    for _ in range(2):  # The second time it is lost before it was restored.
        desk.feed.lost([place])
        desk.feed.assigned({place: None})

        assert desk.arrivals[-1].lost == Lost(lane.claim, Handed(3, lane.left))


def test_who_keeps_a_partition_for_longer_than_the_group_waits_loses_all(move: Move) -> None:
    move.shop.broker.rebalance_ms = 1_000
    move.begin(running=1)

    move.pass_ms(1_001)

    assert {lane.source[1] for lane in move.desk.ended} == {0, 1}


def test_a_drain_polls_its_client_to_the_end(new_desk: NewDesk, shop: Shop) -> None:
    """A client that nobody polls is thought dead after minutes, and loses its partitions."""
    desk = new_desk(LIMITS).turns()
    desk.running[desk.place()] = 1
    polls = []
    poll = desk.source.poll

    def polled(limit: int, _timeout_s: float) -> object:
        polls.append(limit)
        shop.clock.advance(100)
        desk.pulse.beat()
        return poll(limit, 0)

    desk.source.poll = polled  # type: ignore[assignment,method-assign] # time passes with polls

    desk.feed.close()

    assert len(polls) >= LIMITS.drain_ms // 100
