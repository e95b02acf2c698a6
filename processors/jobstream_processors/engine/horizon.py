"""Keeps back jobs that no mirror has announced, so that an heir knows which jobs may have begun.

When the owner of a partition dies, its heir must know which jobs that owner can have begun. The
mirror says so beforehand: none at offset `may_begin` or above. Jobs from there on wait in the room
of their lane until a mirror that announces more is acknowledged. Announcements run ahead of the
slots by a fraction of a second of work, so that a fast stream never waits and a slow one leaves few
suspects. Where one executor has more than enough to do and another has not, it runs ahead further,
up to a limit, to what that one can run. Used on the event loop's thread.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from jobstream_processors.assignment.lane import FLOOR
from jobstream_processors.delivery import offset_of
from jobstream_processors.job_types import PROCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.waiting import WaitingRoom
    from jobstream_processors.execute.running import Executes

AHEAD_S = 0.25
"""How much work may be announced beyond what the slots hold. An acknowledgement takes some
hundredths of a second, and it is asked for when half of this is left."""

REACH = 4
"""How many times that for an executor that has nothing to do while others have."""


class Horizon:
    """Keeps back jobs that are not announced, for every lane of one process."""

    def __init__(self, monotonic_ms: Callable[[], int]) -> None:
        self._now_ms = monotonic_ms
        self._announce: Callable[[], object] = lambda: None
        self._slots = 0
        self.kept = False
        """Whether something waits here that came since the last look."""
        self._finished = 0
        self._at_ms = 0
        self._per_ms = 0.0
        """Jobs that end, of all lanes together; follows within about half a second."""

    def announce_by(self, announce: Callable[[], object], slots: int) -> None:
        """Have `announce` mirror what lanes want, before these slots of all executors run dry."""
        self._announce, self._slots = announce, slots

    def keep(self, room: WaitingRoom, deliveries: Sequence[Delivery]) -> None:
        """Let these, in order of offsets, wait until they are announced."""
        if deliveries:
            room.keep_unannounced(deliveries)
            self.kept = True

    def look(self, rooms: Collection[WaitingRoom], executors: Mapping[str, Executes]) -> None:
        """Decide what each lane wants announced, and have it announced if that is more."""
        now_ms = self._now_ms()
        self.kept = False
        self._measure(rooms, now_ms)
        most = self._slots + max(FLOOR, self._per_ms * AHEAD_S * 1_000)
        waiting: dict[str, list[WaitingRoom]] = {}
        for room in rooms:
            if room.unannounced and not room.lane.wants:
                waiting.setdefault(room.lane.queue, []).append(room)
        asked = False
        # What other queues have ahead of the slots is no reason to keep a queue's jobs back: which
        # of them begin is for the line at the slots to say.
        for queue, kept in waiting.items():
            busy = self._taken(executors, queue)
            if busy < (self._slots + most) / 2:
                share = max(1, int(most - busy) // len(kept))
                for room in kept:
                    room.lane.want(_with(room, share))
                asked = True
            elif (left := int(REACH * most - busy) // len(kept)) > 0:
                for room in kept:
                    asked |= self._reach(room, executors, left)
        for room in rooms:
            if not room.unannounced and not room.lane.wants and not room.is_shut:
                asked |= self._reserve(room, now_ms, int(most))
        if asked:
            self._announce()

    def _taken(self, executors: Mapping[str, Executes], queue: str) -> int:
        """How many of the slots are taken, or waited for by jobs before one of this queue."""
        busy = sum(each.before(queue) for name, each in executors.items() if name != PROCESS)
        # Suspects wait for children, however many: they must not hold up the others.
        children = executors[PROCESS].before(queue) if PROCESS in executors else 0
        return busy + min(children, max(0, self._slots - busy))

    @staticmethod
    def _reach(room: WaitingRoom, executors: Mapping[str, Executes], most: int) -> bool:
        """Have jobs announced for executors that have next to nothing to do, and what is before.

        Those among the first `most` that wait.
        """
        for name, count in room.unannounced.by_executor.items():
            executor = executors.get(name)
            if not count or executor is None:
                continue
            short = FLOOR - executor.before(room.lane.queue)
            if short > FLOOR // 2:
                room.lane.want(room.unannounced.end_of_those(name, short, most))
        return room.lane.wants

    def _measure(self, rooms: Iterable[WaitingRoom], now_ms: int) -> None:
        passed = now_ms - self._at_ms
        if passed < AHEAD_S * 500:
            return
        # Counted from each lane's beginning: its offsets say nothing of what was run here.
        finished = sum(room.lane.watermark.settled for room in rooms)
        # Lanes that go change the sum as well: that is no rate.
        if passed < 10 * AHEAD_S * 1_000 and finished >= self._finished:
            self._per_ms += ((finished - self._finished) / passed - self._per_ms) / 2
        self._finished, self._at_ms = finished, now_ms

    @staticmethod
    def _reserve(room: WaitingRoom, now_ms: int, most: int) -> bool:
        """Keep jobs announced that have not come yet; ask for more when half of them are left."""
        lane = room.lane
        begun, (was, at_ms) = lane.watermark.begun, room.reserved
        per_ms = (begun - was) / max(now_ms - at_ms, 50)
        reserve = max(FLOOR, min(int(per_ms * AHEAD_S * 2_000), most))
        if begun + reserve // 2 < lane.may_begin:
            return False
        room.reserved = begun, now_ms
        lane.want(begun + reserve)
        return lane.wants


def parted(
    room: WaitingRoom, deliveries: Sequence[Delivery]
) -> tuple[Sequence[Delivery], Sequence[Delivery]]:
    """Those of `deliveries`, in order of offsets, that may begin; and those that must wait."""
    count = bisect_left(deliveries, room.lane.may_begin, key=offset_of)
    return deliveries[:count], deliveries[count:]


def _with(room: WaitingRoom, jobs: int) -> int:
    """The offset below which so many more of the lane's jobs stand; those that may begin."""
    beyond, lane = room.unannounced, room.lane
    if jobs <= len(beyond) or room.is_shut:  # Where it is shut, a probe may begin.
        return beyond.end_of(jobs)
    return max(lane.watermark.begun, lane.may_begin) + jobs - len(beyond)
