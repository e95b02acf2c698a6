"""Child processes of a worker, played: they start, run one job each, and may be killed.

It stands where `ProcessExecutor` stands, for jobs that want a child and for suspects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.jobs import (
    CRASH,
    FAIL,
    PERMANENT,
    SNOOZE,
    SNOOZE_S,
    Permanent,
    Transient,
    enqueue_children,
)
from tests.simulation.jobs import Stage as Jobs

from jobstream_processors.context import Context
from jobstream_processors.core.outcome import (
    DONE,
    STOPPED,
    Crashed,
    Interrupted,
    Outcome,
    Snooze,
    TimedOut,
)
from jobstream_processors.execute.running import Executor, facts_of
from jobstream_processors.execute.user_errors import read

if TYPE_CHECKING:
    import asyncio

    from tests.simulation.jobs import Run
    from tests.simulation.loop import SimLoop
    from tests.simulation.seen import Start

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.execute.running import Barred, Ended

BEGIN_S = 0.3


class SimChildren(Executor):
    """The `Executor` of one worker's children."""

    def __init__(self, loop: SimLoop, size: int, ended: Ended, barred: Barred) -> None:
        super().__init__()
        self._loop = loop
        self._size = size
        self._ended = ended
        self._barred = barred
        self._running: dict[Delivery, asyncio.TimerHandle | asyncio.Task[None]] = {}
        self._starts: dict[Delivery, Start] = {}

    def submit(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        self._fill()

    def expire(self) -> None:
        """Each run has its own timer."""

    def interrupt(self, lane: Lane) -> None:
        for delivery in [d for d in self._running if d.lane is lane]:
            self._kill(delivery, Interrupted())

    def stop(self, delivery: Delivery) -> None:
        if delivery in self._running:
            self._kill(delivery, Crashed("killed, as it was cancelled"))
        elif delivery in self._waiting:
            self._waiting.remove(delivery)
            self._ended(delivery, STOPPED)

    def close(self) -> None:
        for delivery in list(self._running):
            self._kill(delivery, None)

    def shoot(self, index: int) -> int | None:
        """Kill a child from outside; returns the number of the job it ran."""
        started = list(self._starts)
        if not started:
            return None
        delivery = started[index % len(started)]
        number = self._starts[delivery].number
        self._kill(delivery, Crashed("its process died: killed by signal 9"))
        return number

    def _kill(self, delivery: Delivery, outcome: Outcome | None) -> None:
        self._running.pop(delivery).cancel()
        start = self._starts.pop(delivery, None)
        if start is not None:
            Jobs.ledger.cut(start)
        if outcome is not None:
            self._loop.call_soon(self._tell, delivery, outcome)

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self._size:
            delivery = self._waiting.popleft()
            self._running[delivery] = self._loop.call_later(BEGIN_S, self._begin, delivery)

    def _begin(self, delivery: Delivery) -> None:
        if (bar := self._barred(delivery)) is not None:
            self._running.pop(delivery)
            self._tell(delivery, bar)
            return
        facts, number = facts_of(delivery), delivery.args().number
        delivery.began = self._loop.time()
        run, start = Jobs.ledger.begin(
            number,
            (facts.job_id, facts.redrive, facts.seq),
            facts.attempt,
            facts.fencing_token,
            facts.source,
        )
        self._starts[delivery] = start
        spec = delivery.spec
        assert spec is not None, "only deliveries with a handler are run"
        limit_s = spec.timeout_ms / 1000
        if run.seconds >= limit_s:
            timer = self._loop.call_later(limit_s, self._late, delivery, spec.timeout_ms)
        else:
            timer = self._loop.call_later(run.seconds, self._end, delivery, run)
        self._running[delivery] = timer

    def _late(self, delivery: Delivery, timeout_ms: int) -> None:
        self._kill(delivery, TimedOut(timeout_ms))

    def _end(self, delivery: Delivery, run: Run) -> None:
        self._running[delivery] = self._loop.create_task(self._last(delivery, run))

    async def _last(self, delivery: Delivery, run: Run) -> None:
        await enqueue_children(delivery.args().number, Context(facts_of(delivery)))
        self._running.pop(delivery)
        start = self._starts.pop(delivery)
        Jobs.ledger.ended(start, run)
        self._tell(delivery, _outcome(run))

    def _tell(self, delivery: Delivery, outcome: Outcome) -> None:
        self._ended(delivery, outcome)
        self._fill()


def _outcome(run: Run) -> Outcome:
    if run.end == CRASH:
        return Crashed("its process died: killed by signal 11")
    if run.end == FAIL:
        return read(Transient())
    if run.end == PERMANENT:
        return read(Permanent())
    if run.end == SNOOZE:
        return read(Snooze(SNOOZE_S))
    return DONE
