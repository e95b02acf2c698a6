"""How far a lane's jobs may begin: as far as its mirror has said, and so no heir needs to guess.

After the death of an owner its heir asks which jobs it can have begun. The answer is announced
beforehand, in the mirror: none at `may_begin` or above. What stands there waits here, in order of
offsets, until the mirror that announces more is acknowledged. The announcement runs ahead of the
slots by a fraction of a second of work, so that a fast stream never waits for it and a slow one
leaves few suspects. Used on the event loop's thread; it publishes nothing itself.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING

from jobstream_processors.assignment.lane import FLOOR
from jobstream_processors.core.outcome import STOPPED
from jobstream_processors.job_types import PROCESS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.execute.running import Executor

AHEAD_S = 0.25
"""How much work may be announced beyond what the slots hold. An acknowledgement takes some
hundredths of a second, and it is asked for when half of this is left."""
Ahead = tuple[Callable[[], object], int]
"""Has mirrors told what lanes want announced, at once; and how many handlers run at once, all
executors together."""
_offset = attrgetter("offset")


def _nobody() -> None:
    """Nobody mirrors; then lanes have no horizon."""


NOTHING_AHEAD: Ahead = (_nobody, 0)


class Horizon:
    """The way to the executors, for every lane of one process; keeps back what is not announced."""

    def __init__(self, ended: Callable[[Delivery, Outcome], object]) -> None:
        """`ended` hears of what is stopped while it waits here."""
        self._ended = ended
        self.executors: Mapping[str, Executor] = {}
        self._announce, self._slots = NOTHING_AHEAD
        self.kept = False
        """Whether something waits here that came since the last look."""
        self._finished = 0
        self._at_ms = 0
        self._per_ms = 0.0
        """Jobs that end, of all lanes together; follows within about half a second."""

    def announce_by(self, ahead: Ahead) -> None:
        """Ask these before the slots run dry."""
        self._announce, self._slots = ahead

    def submit(self, lane: Lane, deliveries: Iterable[Delivery]) -> None:
        """Let them begin when slots are free, or when their mirror has announced that.

        They are of `lane`, in rising order of offsets.
        """
        beyond: list[Delivery] = []
        for delivery in deliveries:
            delivery.running = True
            if delivery.offset < lane.may_begin:
                self._begin(delivery)
            else:
                beyond.append(delivery)
        if beyond:
            self._keep(lane, beyond)

    def stop(self, delivery: Delivery) -> None:
        """Stop its run where that is possible; its outcome is reported as usual."""
        spec = delivery.spec
        assert spec is not None  # noqa: S101 - admitted deliveries have a handler
        beyond = delivery.lane.ahead.beyond
        if delivery in beyond:
            beyond.remove(delivery)
            self._ended(delivery, STOPPED)
        else:
            self.executors[PROCESS if delivery.in_child else spec.executor].stop(delivery)

    def withdraw(self, lane: Lane) -> list[Delivery]:
        """Take back what of `lane` did not begin."""
        taken = [d for executor in self.executors.values() for d in executor.withdraw(lane)]
        taken += lane.ahead.beyond
        lane.ahead.beyond.clear()
        for delivery in taken:
            delivery.running = False
        return taken

    def look(self, lanes: Collection[Lane], now_ms: int) -> None:
        """Decide what each lane wants announced, and have it announced if that is more."""
        self.kept = False
        self._measure(lanes, now_ms)
        busy = self._busy()
        most = self._slots + max(FLOOR, self._per_ms * AHEAD_S * 1_000)
        waiting = [lane for lane in lanes if lane.ahead.beyond and lane.wanted <= lane.may_begin]
        asked = False
        if waiting and busy < (self._slots + most) / 2:
            share = max(1, int(most - busy) // len(waiting))
            for lane in waiting:
                lane.want(_with(lane, share))
            asked = True
        for lane in lanes:
            if not lane.ahead.beyond and lane.wanted <= lane.may_begin:
                asked |= self._reserve(lane, now_ms, int(most))
        if asked:
            self._announce()

    def widen(self, announced: Iterable[tuple[Lane, int]]) -> None:
        """These mirrors are acknowledged: what stands below begins."""
        for lane, below in announced:
            if below <= lane.may_begin:
                continue
            lane.announced(below)
            beyond = lane.ahead.beyond
            while beyond and beyond[0].offset < below:
                self._begin(beyond.popleft())

    def _begin(self, delivery: Delivery) -> None:
        spec = delivery.spec
        assert spec is not None  # noqa: S101 - admitted deliveries have a handler
        self.executors[PROCESS if delivery.in_child else spec.executor].submit(delivery)

    def _keep(self, lane: Lane, deliveries: Sequence[Delivery]) -> None:
        self.kept = True
        beyond = lane.ahead.beyond
        if beyond and beyond[-1].offset > deliveries[0].offset:
            for delivery in deliveries:
                insort(beyond, delivery, key=_offset)
        else:
            beyond.extend(deliveries)

    def _busy(self) -> int:
        """Deliveries that hold a slot or wait for one."""
        busy = sum(e.busy for name, e in self.executors.items() if name != PROCESS)
        # Suspects wait for children, however many: they must not hold up the others.
        children = self.executors[PROCESS].busy if PROCESS in self.executors else 0
        return busy + min(children, max(0, self._slots - busy))

    def _measure(self, lanes: Iterable[Lane], now_ms: int) -> None:
        passed = now_ms - self._at_ms
        if passed < AHEAD_S * 500:
            return
        finished = sum(lane.watermark.begun - lane.watermark.unfinished for lane in lanes)
        # Lanes that come and go change the sum as well: that is no rate.
        if passed < 10 * AHEAD_S * 1_000 and finished >= self._finished:
            self._per_ms += ((finished - self._finished) / passed - self._per_ms) / 2
        self._finished, self._at_ms = finished, now_ms

    @staticmethod
    def _reserve(lane: Lane, now_ms: int, most: int) -> bool:
        """Keep enough announced for what is to come; half of it is left when more is asked."""
        begun, (was, at_ms) = lane.watermark.begun, lane.ahead.reserved
        per_ms = (begun - was) / max(now_ms - at_ms, 50)
        reserve = max(FLOOR, min(int(per_ms * AHEAD_S * 2_000), most))
        if begun + reserve // 2 < lane.may_begin:
            return False
        lane.ahead.reserved = begun, now_ms
        lane.want(begun + reserve)
        return lane.wanted > lane.may_begin


def _with(lane: Lane, jobs: int) -> int:
    """The offset below which so many more of `lane`'s jobs stand."""
    beyond = lane.ahead.beyond
    if jobs <= len(beyond):
        return beyond[jobs - 1].offset + 1
    return max(lane.watermark.begun, lane.may_begin) + jobs - len(beyond)
