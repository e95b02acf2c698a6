"""Where a group goes on, what is the oldest unfinished record there, and what retention took."""

from __future__ import annotations

import pytest

from jobstream.operate.positions import GroupPlace
from jobstream_processors.ports import Position
from jobstream_schemas import Mirror

PLACE = ("shop.mail", 0)


def standing(
    low: int, high: int, committed: int | None, mirror: tuple[int, list[tuple[int, int]]] | None
) -> GroupPlace:
    mirrored = (
        Mirror("shop", *PLACE[:1], "topic-1", 0, mirror[0], tuple(mirror[1]), 0, 1)
        if mirror is not None
        else None
    )
    at = Position(committed) if committed is not None else None
    return GroupPlace(PLACE, low, high, at, mirrored, "topic-1")


@pytest.mark.parametrize(
    ("low", "committed", "mirror", "recorded", "position"),
    [
        (0, None, None, None, 0),
        (7, None, None, None, 7),
        (0, 5, None, 5, 5),
        (0, 5, (8, []), 8, 8),
        (0, 9, (8, []), 9, 9),
        (0, None, (8, []), 8, 8),
        (12, 5, (8, []), 8, 12),
        (0, 0, None, 0, 0),
    ],
)
def test_the_place_is_the_highest_that_anyone_recorded(
    low: int,
    committed: int | None,
    mirror: tuple[int, list[tuple[int, int]]] | None,
    recorded: int | None,
    position: int,
) -> None:
    at = standing(low, 20, committed, mirror)

    assert (at.recorded, at.position, at.lag) == (recorded, position, 20 - position)


def test_beyond_the_end_of_the_log_all_that_it_holds_may_wait() -> None:
    """Workers refuse such a place; to call that no lag would hide that nothing runs there."""
    at = standing(3, 20, 25, (24, [(26, 28)]))

    assert (at.recorded, at.position, at.unfinished, at.lag) == (25, 3, 3, 17)


def test_the_record_at_the_watermark_is_the_oldest_unfinished() -> None:
    """Finished ranges above it shorten no wait."""
    assert standing(0, 20, 5, (5, [(6, 20)])).unfinished == 5


def test_a_log_start_among_finished_records_is_not_unfinished() -> None:
    assert standing(8, 20, 5, (5, [(6, 10), (10, 15), (17, 18)])).unfinished == 15
    assert standing(8, 20, 5, (5, [(6, 20)])).unfinished == 20


@pytest.mark.parametrize(
    ("low", "since", "lost"),
    [
        (5, 0, 0),  # the start is at the watermark
        (6, 0, 1),  # one unfinished record is gone
        (10, 0, 1),  # the finished ones above it are no loss
        (12, 0, 3),
        (12, 10, 2),  # what was counted at the last look is not counted again
        (12, 12, 0),
    ],
)
def test_only_unfinished_records_are_lost(low: int, since: int, lost: int) -> None:
    assert standing(low, 20, 5, (5, [(6, 10)])).lost_since(since) == lost


def test_what_is_finished_is_below_the_place_or_in_a_range_above_it() -> None:
    at = standing(0, 20, 5, (5, [(6, 8), (10, 12)]))

    assert [n for n in range(14) if at.is_finished(n)] == [*range(5), 6, 7, 10, 11]
    assert not standing(3, 20, 25, None).is_finished(10), "a place beyond the end tells nothing"
