"""Steps 4 and 13, on the thread that polls: take records for this process, and commit watermarks.

It never runs a handler and never finishes an offset. Jobs reach the engine in batches.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobstream_processors.assignment.committed import Committed
from jobstream_processors.assignment.holds import NO_ROOM, OPERATOR, QUIET, WINDOW
from jobstream_processors.assignment.lane import BATCH_MAX
from jobstream_processors.assignment.pressure import Pressure
from jobstream_processors.assignment.roster import Roster
from jobstream_processors.assignment.skipped import Verdicts
from jobstream_processors.turn_meter import TurnMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from jobstream_processors.assignment.driver import Driver
    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.assignment.pressure import Limits
    from jobstream_processors.assignment.pulse import Pulse
    from jobstream_processors.meter import Meter
    from jobstream_processors.ports import Clock, Listener, Record, Source
    from jobstream_processors.queue_plan import QueuePlan

log = logging.getLogger("jobstream.worker")

UNORDERED: tuple[Collection[str], bool] = ((), False)
FULL_MS_MAX = 1_000
"""How long a full process leaves records in the client before a pause throws them away there."""
CROWDED_MS = 100
"""The same where one queue has taken up what all share: others are not read meanwhile."""
DEPART_POLL_S = 0.02  # A turn waits so long while partitions are to be given back.


class Feed:
    """The consumer side of one worker process. Used by one thread."""

    def __init__(
        self,
        plans: Mapping[str, QueuePlan],
        driver: Driver,
        clock: Clock,
        pulse: Pulse,
        limits: Limits,
        *,
        known_id: Callable[[str], str],
        is_late: Callable[[Lane], bool],
        meter: Meter | None = None,
        ready: Callable[[], object] | None = None,
    ) -> None:
        self._source: Source
        self._driver = driver
        self._clock = clock
        self._pulse = pulse
        self._turn = turn = meter.turn if meter is not None else TurnMeter("")
        self._roster = roster = Roster(
            plans, driver, clock, limits, known_id=known_id, turn=turn, meter=meter, ready=ready
        )
        self._holds, self._lanes = roster.holds, roster.lanes
        self._commits = Committed(clock, limits.commit_ms)
        self.prepared, self.failed = roster.prepared, roster.failed
        self.partitions = roster.partitions
        # What the group says, from inside a poll.
        self.assigned, self.revoked = roster.assigned, roster.revoked
        self.lost, self.misplaced = roster.lost, roster.misplaced
        self.verdicts = Verdicts()
        self._had_room_s = clock.awake_s()
        self._pressure = Pressure(limits, is_late, len(plans))
        self._ordered: tuple[Collection[str], bool] = UNORDERED
        self._obeyed = UNORDERED

    # -- from any thread

    def obey(self, queues: Collection[str], *, quiet: bool) -> None:
        """Take nothing of these queues from now on; nothing at all if `quiet`."""
        self._ordered = (queues, True) if quiet else (queues, False) if queues else UNORDERED

    def served(self) -> list[Lane]:
        """The lanes of which jobs run here."""
        return list(self._lanes.values())

    # -- the thread that polls

    def join(self, source: Callable[[Listener], Source]) -> None:
        """Join the consumer group."""
        self._source = self._roster.source = source(self)

    def cycle(self, timeout_s: float) -> int:
        """One turn: start what is restored, poll, hand over, commit. Returns the records taken."""
        turn, roster = self._turn, self._roster
        self._pulse.check()
        roster.start_ready()
        if self.verdicts.waiting:
            paused = {lane: self._holds.of(lane) for lane in self._lanes.values()}
            self.verdicts.carry_out(self._source, paused, self.misplaced)
        if self._driver.is_leaving():
            roster.leave()
        if roster.depart():
            timeout_s = min(timeout_s, DEPART_POLL_S)
        if self._ordered is not UNORDERED or self._obeyed is not UNORDERED:
            self._obey()
        turn.spent("other")
        room, full = self._look()
        if self._waits(room, full) or self._is_stuffed(room, full):
            self._driver.wait(timeout_s)
            room, full = self._look()
            turn.spent("wait")
        taken = 0 if self._waits(room, full) else self._poll(room, full, timeout_s)
        if self._commits.is_due():
            roster.look()
            self._commits.commit(self._source, self._lanes.values())
        turn.spent("commit")
        return taken

    @property
    def left(self) -> bool:
        """Whether nothing is served here any more, and nothing will be."""
        return self._roster.left

    def close(self) -> None:
        """Leave the group: drains, commits and gives every partition back.

        It drains first, and polls meanwhile: a client that is closing, or is not polled, does not
        stay in its group, and jobs that still run would be handed to another worker.
        """
        self._roster.leave()
        while not self._roster.left:
            self.cycle(DEPART_POLL_S)
        with self._turn.busy("leaving"):
            self._source.close()

    def go_on(self) -> None:
        """One turn inside a revocation: the other partitions are served."""
        self.cycle(DEPART_POLL_S)

    # -- taking records

    def _look(self) -> tuple[int, list[Lane]]:
        """How many more records this process may take up, and lanes that are full."""
        lanes, held = self._lanes.values(), self._holds.held(OPERATOR) | self._roster.departing
        # What an operator's pause keeps here must not take the place of other queues' jobs.
        # What departs will not start: it only takes up memory until it is given back.
        room = self._pressure.room([lane for lane in lanes if lane not in held])
        return room, self._pressure.full(lanes, self._holds.held(WINDOW))

    def _is_stuffed(self, room: int, full: Collection[Lane]) -> bool:
        """Whether nothing that is served here has room for another record."""
        if room > 0 and not full:
            return False
        going = self._roster.departing
        lanes = [lane for lane in self._lanes.values() if lane not in going]
        return bool(lanes) and (room <= 0 or all(lane in full for lane in lanes))

    def _waits(self, room: int, full: Collection[Lane]) -> bool:
        """Whether what is full may soon have room again: a pause throws away what was fetched."""
        now_s, patience_ms = self._clock.awake_s(), CROWDED_MS if self._pressure.crowds else 0
        if self._is_stuffed(room, full):
            patience_ms = FULL_MS_MAX
        elif not patience_ms:
            self._had_room_s = now_s
        return 0 < patience_ms >= (now_s - self._had_room_s) * 1_000

    def _poll(self, room: int, full: Collection[Lane], timeout_s: float) -> int:
        """Take what there is room for. With no room it still serves rebalances."""
        self._hold(NO_ROOM, self._lanes.values() if room <= 0 else ())
        self._hold(WINDOW, full)
        records = self._source.poll(min(BATCH_MAX, max(room, 1)), timeout_s)
        self._turn.polled()
        if records:
            self._take(records)
        self._turn.spent("hand")
        return len(records)

    def _take(self, records: Sequence[Record]) -> None:
        batches: dict[tuple[str | None, int | None], list[Record]] = {}
        for record in records:
            at = (record.topic(), record.partition())
            batch = batches.get(at)
            if batch is None:
                batches[at] = [record]
            else:
                batch.append(record)
        handed = []
        for place, batch in batches.items():
            lane = self._lanes.get(place)  # type: ignore[arg-type] # consumed records have a place
            if lane is not None:
                lane.handed += len(batch)
                handed.append((lane, batch))
        self._pressure.weigh(records)
        if handed:
            self._driver.hand(handed)

    def _obey(self) -> None:
        """In the turn in which a lane starts, so that none ever starts without its pauses."""
        queues, quiet = ordered = self._ordered
        if ordered != self._obeyed:  # orders about jobs and types change nothing here
            log.info("pauses_changed", extra={"queues": sorted(queues), "quiet": quiet})
        self._obeyed = ordered
        lanes = self._lanes.values()
        self._hold(OPERATOR, [lane for lane in lanes if lane.queue in queues])
        self._hold(QUIET, lanes if quiet else ())

    def _hold(self, reason: str, lanes: Collection[Lane]) -> None:
        self._holds.put(self._source, reason, lanes)
