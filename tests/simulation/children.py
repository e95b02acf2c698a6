"""Child processes of a worker, played under the real pool: they take jobs, and may be killed.

A `PlayedChild` stands where `ProcessLine` stands, for jobs that want a child and for suspects. Each
thing that a child does is a turn of its own, so a kill, a rebalance or an order may come between.
"""

from __future__ import annotations

import marshal
from collections import deque
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
from jobstream_processors.core.outcome import DONE, Outcome, Snooze
from jobstream_processors.execute.crossing import (
    BACK,
    BEGINS,
    PREPARE,
    READY,
    HandedJob,
    Inbox,
    answered,
    ended,
)
from jobstream_processors.execute.on_processes import ProcessExecutor
from jobstream_processors.execute.outbox import LONG
from jobstream_processors.execute.running import facts_of
from jobstream_processors.execute.user_errors import read

if TYPE_CHECKING:
    import asyncio

    from tests.simulation.jobs import Run
    from tests.simulation.loop import SimLoop
    from tests.simulation.seen import Start

    from jobstream_processors.delivery import Delivery
    from jobstream_processors.execute.line import LineEar
    from jobstream_processors.execute.running import Barred, Ended
    from jobstream_processors.ports import Machine

BEGIN_S = 0.3
COST_S = 0.001


class SimChildren(ProcessExecutor):
    """The pool of one worker, with children that are played."""

    def __init__(
        self, loop: SimLoop, size: int, ended: Ended, barred: Barred, machine: Machine
    ) -> None:
        self._sim_loop = loop
        self._played: list[PlayedChild] = []
        super().__init__(size, ended, barred, machine=machine, open_line=self._play)

    def shoot(self, index: int) -> int | None:
        """Kill a child from outside; returns the number of the job it ran."""
        running = [child for child in self._played if child.runs is not None]
        return running[index % len(running)].shoot() if running else None

    def _play(self, ear: LineEar) -> PlayedChild:
        self._played = [child for child in self._played if not child.dead]
        self._played.append(PlayedChild(self, self._sim_loop, self.machine, ear))
        return self._played[-1]

    def _cost_of(self, delivery: Delivery) -> float:
        """All are taken for short, the long ones too: many are taken back."""
        return LONG if delivery.in_child else COST_S

    def handed(self, job_id: str) -> Delivery:
        """The delivery that has crossed."""
        return next(delivery for delivery in self._running if delivery.id == job_id)


class PlayedChild:
    """One child process."""

    def __init__(self, pool: SimChildren, loop: SimLoop, machine: Machine, ear: LineEar) -> None:
        self._pool, self._loop, self._machine, self._ear = pool, loop, machine, ear
        self._sent = b""
        self._inbox = Inbox(self._receive)
        self._tokens: deque[int] = deque()
        self._said = b""
        self._acts: asyncio.Handle | asyncio.Task[None] | None = None
        self.runs: Start | None = None
        self.dead = self._killed = False
        self._how = "killed by signal 9"

    # -- as the worker knows it

    def send(self, frames: bytes, tokens: bytes) -> None:
        self._sent += frames
        self._tokens += tokens
        self._soon()

    def take_back(self) -> bytes:
        back = bytes(self._tokens)
        self._tokens.clear()
        return back

    def hear(self) -> bytes | None:
        said, self._said = self._said, b""
        return said or (b"" if self.dead else None)

    def kill(self) -> None:
        if not self._killed:
            self._killed = True
            self._die()
            self._loop.call_soon(self._ear.died, self._how)

    def let_go(self) -> None:
        self._die()

    def ended(self, limit_s: float) -> None:
        """It ends at once."""

    def close(self) -> None:
        self._die()

    # -- what it does

    def shoot(self) -> int:
        """Killed from outside; returns the number of the job that runs."""
        assert self.runs is not None, "it runs one"
        number = self.runs.number
        self._die()
        self._loop.call_soon(self._ear.listen)
        return number

    def _die(self) -> None:
        self.dead = True
        if self._acts is not None:
            self._acts.cancel()
        start, self.runs = self.runs, None
        if start is not None:
            Jobs.ledger.cut(start)

    def _soon(self) -> None:
        if self._acts is None and not self.dead and self._tokens:
            self._acts = self._loop.call_soon(self._take)

    def _say(self, answer: bytes) -> None:
        self._said += answer
        self._loop.call_soon(self._ear.listen)

    def _take(self) -> None:
        self._acts = None
        if not self._tokens:
            return
        kind, number, body = self._inbox.of(self._tokens.popleft())
        if kind == PREPARE:
            self._acts = self._loop.call_later(BEGIN_S, self._ready, number)
        else:
            job = HandedJob(*marshal.loads(body))  # noqa: S302 - our own pool
            self._acts = self._loop.call_soon(self._begin, number, job)

    def _ready(self, number: int) -> None:
        self._acts = None
        self._say(answered(READY, number, self._machine.awake_s()))
        self._soon()

    def _begin(self, number: int, job: HandedJob) -> None:
        self._acts = None
        if self._machine.monotonic_ms() >= job.until_ms:
            self._say(answered(BACK, number, self._machine.awake_s()))
            self._soon()
            return
        delivery = self._pool.handed(job.job_id)
        facts = facts_of(delivery)
        run, self.runs = Jobs.ledger.begin(
            Jobs.ledger.ids[delivery.id],
            (facts.job_id, facts.redrive, facts.seq),
            facts.attempt,
            facts.fencing_token,
            facts.source,
            in_child=True,
        )
        self._say(answered(BEGINS, number, self._machine.awake_s()))
        self._acts = self._loop.call_later(run.seconds, self._end, number, delivery, run)

    def _end(self, number: int, delivery: Delivery, run: Run) -> None:
        self._acts = self._loop.create_task(self._last(number, delivery, run))

    async def _last(self, number: int, delivery: Delivery, run: Run) -> None:
        await enqueue_children(Jobs.ledger.ids[delivery.id], Context(facts_of(delivery)))
        start, self.runs, self._acts = self.runs, None, None
        assert start is not None, "it has begun"
        Jobs.ledger.ended(start, run)
        if run.end == CRASH:
            self._how = "killed by signal 11"
            self.dead = True
            self._loop.call_soon(self._ear.listen)
            return
        self._say(ended(number, self._machine.awake_s(), _outcome(run)))
        self._soon()

    def _receive(self, _: int) -> bytes:
        sent, self._sent = self._sent, b""
        assert sent, "a token comes after its frame"
        return sent


def _outcome(run: Run) -> Outcome:
    if run.end == FAIL:
        return read(Transient())
    if run.end == PERMANENT:
        return read(Permanent())
    if run.end == SNOOZE:
        return read(Snooze(SNOOZE_S))
    return DONE
