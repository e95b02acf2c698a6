"""The feed commits on an interval, and only forward."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.assignment.pressure import Limits
from jobstream_processors.ports import Position

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.assignment.feed.conftest import Desk
    from tests.unit.shop import Shop


def test_commits_go_forward_once_per_interval(new_desk: Callable[..., Desk], shop: Shop) -> None:
    desk = new_desk(Limits(commit_ms=1_000)).turns()
    desk.fill(4)
    desk.turns()
    shop.clock.advance(1_000)
    desk.turns()
    assert desk.committed() == Position(0)

    desk.finish(0, 2)
    desk.turns()
    assert desk.committed() == Position(0)
    shop.clock.advance(1_000)
    desk.turns()
    assert desk.committed() == Position(1)

    desk.finish(1)
    shop.clock.advance(1_000)
    desk.turns()
    assert desk.committed() == Position(3)


def test_a_range_that_is_not_mirrored_yet_is_not_committed(
    new_desk: Callable[..., Desk], shop: Shop
) -> None:
    desk = new_desk(Limits(commit_ms=1_000)).turns()
    desk.fill(2)
    desk.turns()
    lane = desk.lane()
    lane.finish(0)
    lane.show()
    shop.clock.advance(1_000)
    desk.turns()
    assert desk.committed() == Position(0)

    lane.acknowledged(lane.snapshot)
    shop.clock.advance(1_000)
    desk.turns()
    assert desk.committed() == Position(1)


def test_a_watermark_that_did_not_move_is_not_committed_again(
    new_desk: Callable[..., Desk], shop: Shop
) -> None:
    desk = new_desk(Limits(commit_ms=10)).turns()
    desk.fill(2)
    desk.turns()
    desk.finish(0)
    shop.clock.advance(10)
    desk.turns()

    # Somebody resets the group further on: an old watermark must not pull it back
    desk.source.commit({desk.place(): Position(2)}, wait=True)
    shop.clock.advance(10)
    desk.turns()

    assert desk.committed() == Position(2)


def test_a_start_ahead_of_the_group_is_committed_though_nothing_ran(
    new_desk: Callable[..., Desk], shop: Shop
) -> None:
    desk = new_desk(Limits(commit_ms=10), ready=False)
    desk.fill(5)
    desk.turns()
    for lane in desk.to_prepare:
        desk.restore(lane, 3 if lane.source[1] == 0 else 0)

    desk.turns()
    shop.clock.advance(10)
    desk.turns()

    assert desk.committed() == Position(3)
    assert [offset for _, offset in desk.handed] == [3, 4]
