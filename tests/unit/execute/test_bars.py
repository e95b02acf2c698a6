"""What keeps a run from beginning, though a slot is free for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.outcome import DONE, Interrupted
from jobstream_processors.execute.bars import Bars

if TYPE_CHECKING:
    from tests.unit.execute.conftest import Ear


def test_nothing_of_a_lane_that_has_ended_begins(ear: Ear) -> None:
    ear.shop.handle("works", lambda _: DONE, "thread")
    bars = Bars(ear.shop.clock, lambda: False)
    delivery = ear.delivery("a", "works")
    assert bars(delivery) is None

    # Its lane ends between the hand-over to a thread and the thread's first step
    delivery.lane.live = False

    assert bars(delivery) == Interrupted()
