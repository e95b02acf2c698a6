"""The feed takes only as much as there is room for, and pauses what is full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.assignment.feed import FULL_MS_MAX
from jobstream_processors.assignment.lane import BATCH_MAX
from jobstream_processors.assignment.pressure import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from tests.unit.assignment.feed.conftest import Desk


def test_a_full_window_pauses_its_partition_until_a_third_is_free(
    new_desk: Callable[..., Desk],
) -> None:
    desk = new_desk(Limits(window=10)).turns()
    desk.fill(10)
    desk.turns()
    desk.fill(5)
    desk.fill(3, partition=1)

    # While it is full only the other partition delivers
    desk.turns()
    assert len(desk.handed) == 13
    # One more than seven left: a resume for each job would cost a fetch each
    desk.finish(0, 1)
    desk.turns()
    assert len(desk.handed) == 13
    desk.finish(2)
    desk.turns()

    assert len(desk.handed) == 18


def test_no_room_in_the_process_stops_every_partition(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk(Limits(handed_max=6)).turns()
    desk.fill(4)
    desk.fill(4, partition=1)

    desk.turns()
    # A poll of at least one record serves rebalances; paused partitions deliver none.
    assert len(desk.handed) == 6
    assert desk.waits > 0
    desk.turns()
    assert len(desk.handed) == 6

    desk.finish(0, 1)
    desk.turns()
    assert len(desk.handed) == 8


def test_a_full_process_pauses_only_if_it_stays_full(
    new_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = new_desk(Limits(handed_max=4)).turns()
    desk.fill(20)
    desk.turns()
    paused: list[int] = []
    monkeypatch.setattr(desk.source, "pause", lambda places: paused.append(len(list(places))))

    # Full for a moment, again and again: what the client has fetched stays fetched
    for first in range(0, 12, 4):
        desk.shop.clock.advance(FULL_MS_MAX)
        desk.turns()
        desk.finish(*range(first, first + 4))
        desk.turns()
    assert not paused
    assert len(desk.handed) == 16

    # Full for long: rebalances must be served, so the client is polled, and paused for that
    desk.shop.clock.advance(FULL_MS_MAX + 1)
    desk.turns()
    assert paused


def test_big_jobs_are_bounded_by_their_bytes(new_desk: Callable[..., Desk]) -> None:
    # Given a feed that has learned from a few how big jobs are
    desk = new_desk(Limits(bytes_max=1_000_000)).turns()
    for offset in range(20):
        desk.fill(1, size=100_000)
        desk.turns(1)
        desk.finish(offset)

    desk.fill(40, size=100_000)
    desk.turns(40)

    assert len(desk.handed) == 20 + 10


def test_a_poll_takes_a_batch_at_most(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk().turns()
    desk.fill(BATCH_MAX + 1, size=1)

    assert desk.feed.cycle(0) == BATCH_MAX
    assert desk.feed.cycle(0) == 1


def test_a_pause_for_two_reasons_ends_with_the_last_one(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk(Limits(window=4, handed_max=6)).turns()
    desk.fill(4)
    desk.turns()
    desk.fill(4)
    desk.fill(2, partition=1)
    desk.turns()
    assert len(desk.handed) == 6

    # Room in the process again, but the window of partition 0 is full still
    desk.finish(0, partition=1)
    desk.turns()
    assert [offset for _, offset in desk.handed].count(4) == 0

    desk.finish(0, 1, 2)
    desk.turns()
    assert [offset for _, offset in desk.handed].count(4) == 1


def test_a_partition_without_acknowledgements_leaves_half_of_the_room_to_the_others(
    new_desk: Callable[..., Desk],
) -> None:
    # Given a process with room for 20 jobs, two partitions, and one that has more than its share
    # and no acknowledgement
    desk = new_desk(Limits(handed_max=20)).turns()
    desk.fill(12)
    desk.turns()
    desk.late.add(desk.lane())
    desk.fill(30)
    desk.fill(30, partition=1)
    desk.turns()
    before = desk.lane().handed
    assert before == 12

    # When the other one is settled, turn by turn
    while desk.lane(1).handed < 30:
        desk.finish(*range(desk.lane(1).returned, desk.lane(1).handed), partition=1)
        handed = desk.lane(1).handed
        desk.turns()
        assert desk.lane(1).handed > handed, "it stands still"

    # Then nothing more was taken of the first
    assert desk.lane().handed == before
    desk.late.clear()
    desk.finish(*range(before))
    desk.turns()
    assert desk.lane().handed > before
