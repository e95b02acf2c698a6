"""Half of a process's room is for whichever queue comes first; the rest is shared out."""

from __future__ import annotations

import pytest

from jobstream.testing import MemoryShard
from jobstream_processors.assignment.lane import Arrival, Lane
from jobstream_processors.assignment.pressure import Limits, Pressure
from jobstream_processors.core.watermark import Watermark


class Room:
    """Two lanes of each queue, and how much of them is taken up."""

    def __init__(self, queues: int) -> None:
        names = [f"q{number}" for number in range(queues)]
        arrivals = [Arrival(name, (name, p), 1, 10_000) for name in names for p in (0, 1)]
        self.lanes = [Lane(each, MemoryShard(), Watermark(0)) for each in arrivals]
        self.pressure = Pressure(Limits(handed_max=100), lambda _: False, queues)

    def look(self, *taken: int) -> tuple[int, set[str]]:
        """The room, and the queues that are full, when so much of each queue is taken up."""
        for lane, jobs in zip(self.lanes[::2], taken, strict=True):
            lane.handed = jobs
        room = self.pressure.room(self.lanes)
        return room, {lane.queue for lane in self.pressure.full(self.lanes, ())}


def test_one_queue_has_all_of_it() -> None:
    assert Room(1).look(99) == (1, set())
    assert Room(1).look(100) == (0, set())


@pytest.mark.parametrize(
    ("taken", "found"),
    [
        ((0, 0), (50, set())),
        # The first 25 are its own.
        ((25, 0), (50, set())),
        ((60, 0), (15, set())),
        ((75, 0), (25, {"q0"})),
        ((75, 24), (1, {"q0"})),
        ((50, 50), (0, {"q0", "q1"})),
    ],
)
def test_a_queue_that_has_used_up_what_all_share_is_full_and_others_are_not(
    taken: tuple[int, int], found: tuple[int, set[str]]
) -> None:
    assert Room(2).look(*taken) == found


def test_what_is_full_is_taken_up_again_when_a_third_of_what_all_share_is_free() -> None:
    room = Room(2)
    assert room.look(75, 0)[1] == {"q0"}

    assert room.look(61, 0)[1] == {"q0"}
    assert room.look(60, 0) == (15, set())
