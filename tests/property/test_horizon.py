"""Nothing begins above what was acknowledged, all begins in the end, and little waits for slots."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, cast

from hypothesis import given
from hypothesis import strategies as st

from jobstream.testing import MemoryShard
from jobstream_processors.assignment.lane import FLOOR, Arrival, Lane
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.delivery import Delivery
from jobstream_processors.engine.horizon import Horizon, parted
from jobstream_processors.engine.waiting import WaitingRoom
from jobstream_processors.job_types import ASYNC

if TYPE_CHECKING:
    from jobstream_processors.execute.running import Executes

SLOTS = 5
TICK_MS = 50
ROUNDS = 400
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.integers(0, 2), st.integers(1, 60)),
        st.tuples(st.just("free"), st.integers(0, 2), st.integers(1, 5)),
        st.tuples(st.just("end"), st.integers(0, 2), st.integers(0, 60)),
        st.tuples(st.just("acknowledge"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("tick"), st.just(0), st.just(0)),
    ),
    max_size=60,
)


class Slots:
    """An executor, the lanes it serves and the mirrors that are on their way."""

    def __init__(self) -> None:
        self.queue: deque[Delivery] = deque()
        self.begun: list[int] = [0, 0, 0]
        self.next = [0, 0, 0]
        self.keyed: list[deque[Delivery]] = [deque(), deque(), deque()]
        """What came and waits for its order key."""
        self.wanted: list[deque[int]] = [deque(), deque(), deque()]
        self.now_ms = 0
        arrivals = [Arrival("q", ("q", n), 1, 10_000) for n in range(3)]
        self.lanes = [Lane(arrival, MemoryShard(), Watermark(0)) for arrival in arrivals]
        for lane in self.lanes:
            lane.limit(FLOOR)
        self.rooms = [WaitingRoom(lane) for lane in self.lanes]
        self.horizon = Horizon(lambda: self.now_ms)
        self.horizon.announce_by(self.publish, SLOTS)

    @property
    def busy(self) -> int:
        return len(self.queue)

    def before(self, _queue: str) -> int:
        return self.busy

    def submit(self, which: int, fresh: list[Delivery]) -> None:
        """Those that may begin have a slot, or wait for one."""
        begins, late = parted(self.rooms[which], fresh)
        self.horizon.keep(self.rooms[which], late)
        assert all(delivery.offset < self.lanes[which].may_begin for delivery in begins)
        self.queue.extend(begins)

    def publish(self) -> None:
        for lane, sent in zip(self.lanes, self.wanted, strict=True):
            if lane.wants:
                sent.append(lane.wanted)

    def step(self, what: str, which: int, count: int) -> None:
        lane = self.lanes[which]
        if what == "come":
            fresh = []
            for _ in range(count):
                offset = self.next[which]
                self.next[which] += 1
                lane.watermark.begin(offset)
                delivery = Delivery(lane, offset, b"", None)
                fresh.append(delivery)
            self.keyed[which].extend(fresh[1::7])
            del fresh[1::7]
            self.submit(which, fresh)
        elif what == "free":
            for _ in range(min(count, len(self.keyed[which]))):
                self.submit(which, [self.keyed[which].popleft()])
        elif what == "end":
            for _ in range(min(count, len(self.queue))):
                delivery = self.queue.popleft()
                delivery.lane.watermark.finish(delivery.offset)
        elif what == "acknowledge":
            if self.wanted[which]:
                lane.announced(self.wanted[which].popleft())
                found = self.rooms[which].announced(lane.may_begin)
                begun = [delivery.offset for delivery in found]
                assert begun == sorted(begun)
                self.queue.extend(found)
        else:
            self.now_ms += TICK_MS
            self.horizon.look(self.rooms, {ASYNC: cast("Executes", self)})


@given(STEPS)
def test_any_course_begins_all_and_no_more_than_was_announced(
    steps: list[tuple[str, int, int]],
) -> None:
    slots = Slots()
    for step in steps:
        slots.step(*step)
    for _ in range(ROUNDS):
        slots.step("tick", 0, 0)
        for which in range(3):
            slots.step("acknowledge", which, 0)
            slots.step("free", which, 5)
        slots.step("end", 0, SLOTS)

    assert [lane.watermark.position for lane in slots.lanes] == slots.next
    assert not any(room.unannounced for room in slots.rooms)


@given(st.lists(st.integers(1, 2_000), min_size=3, max_size=3))
def test_a_backlog_of_slow_jobs_is_announced_no_further_than_slots_need(
    counts: list[int],
) -> None:
    slots = Slots()
    for which, count in enumerate(counts):
        slots.step("come", which, count)
    for _ in range(40):
        slots.step("tick", 0, 0)
        for which in range(3):
            slots.step("acknowledge", which, 0)

    assert slots.busy <= SLOTS + 2 * FLOOR * len(slots.lanes)
