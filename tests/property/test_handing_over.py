"""Whatever children, the worker and time do: what had begun is charged, and nothing is lost.

The pool is the real one. Its children are played, so that they may act, or die, between any two
things that the worker does: jobs are taken, begin and end in any interleaving.
"""

from __future__ import annotations

import asyncio
import marshal
from collections import Counter
from itertools import cycle
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.shop import Shop

from jobstream_processors.core.outcome import (
    DONE,
    STOPPED,
    Crashed,
    Interrupted,
    Outcome,
    TimedOut,
    Unstarted,
)
from jobstream_processors.execute.crossing import (
    BACK,
    BEGINS,
    PREPARE,
    READY,
    RETURNS,
    HandedJob,
    Inbox,
    answered,
)
from jobstream_processors.execute.on_processes import ProcessExecutor
from jobstream_processors.job_types import PROCESS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream_processors.delivery import Delivery
    from jobstream_processors.execute.line import LineEar

LIMIT_MS = 30_000
KILLED = "killed by signal 9"
ACTS = st.tuples(st.just("act"), st.integers(0, 2), st.integers(1, 4))
STEP = st.one_of(
    st.tuples(st.just("submit"), st.integers(1, 8), st.integers(0, 1)),
    ACTS,
    ACTS,
    st.tuples(st.just("die"), st.integers(0, 2)),
    st.tuples(st.just("stop"), st.integers(0, 30)),
    st.tuples(st.just("interrupt"), st.integers(0, 1)),
    st.tuples(st.just("withdraw"), st.integers(0, 1)),
    st.tuples(st.just("pass"), st.sampled_from([1, 60, 600, LIMIT_MS])),
)
STEPS = st.lists(st.tuples(st.sampled_from(["turn", "turn", ""]), STEP), min_size=8, max_size=50)


class TurnLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes when the test says so."""

    now_s = 1_000.0

    def time(self) -> float:
        return self.now_s

    def turn(self) -> None:
        """Run what is ready, and what that makes ready."""
        for _ in range(3):
            self.run_until_complete(asyncio.sleep(0))

    def awake_s(self) -> float:
        return self.now_s

    def monotonic_ms(self) -> int:
        return round(self.now_s * 1_000)

    wall_ms = monotonic_ms


class PlayedLine:
    """A child process, played: it does what the real one does, one step at a time."""

    def __init__(self, world: World, listener: LineEar) -> None:
        self._world, self._listener = world, listener
        self._sent = b""
        self._inbox = Inbox(self._receive)
        self._tokens: list[int] = []
        self._said = self._kept = b""
        self._taken: tuple[int, HandedJob] | None = None
        self._runs: tuple[int, str] | None = None
        self._ran = ""
        self.dead = self._told = False

    # -- as the worker knows it

    def send(self, frames: bytes, tokens: bytes) -> None:
        self._sent += frames
        self._tokens += tokens
        self._race()

    def take_back(self) -> bytes:
        self._race()
        back, self._tokens = bytes(self._tokens), []
        self._race()
        return back

    def hear(self) -> bytes | None:
        self._race()
        said, self._said = self._said, b""
        return said or (b"" if self.dead else None)

    def kill(self) -> None:
        self._race()
        if not self.dead:
            self._world.cut.update(self._unsaid())
        self.dead = True
        if not self._told:
            self._told = True
            self._world.loop.call_soon(self._listener.died, KILLED)

    def let_go(self) -> None:
        self.dead = True

    def ended(self, limit_s: float) -> None:
        """It ends at once."""

    def close(self) -> None:
        self.dead = True

    # -- what it does

    def die(self) -> None:
        """As by a signal from outside."""
        self.dead = True
        self._world.shot.update(self._unsaid())

    def _unsaid(self) -> list[str]:
        """What has begun here, and whose end the worker can't know."""
        return [
            job_id for job_id in (self._ran, *([self._runs[1]] if self._runs else [])) if job_id
        ]

    def notice(self) -> None:
        """The kernel tells the worker's loop that there is something to hear."""
        if (self._said or self.dead) and not self._told:
            self._world.loop.call_soon(self._listener.listen)

    def act(self) -> None:
        """One step."""
        if self.dead:
            return
        if self._runs is not None:
            number, self._ran = self._runs
            self._runs = None
            self._kept = answered(RETURNS, number, self._world.loop.now_s)
        elif self._taken is not None:
            self._begin(*self._taken)
            self._taken = None
        elif not self._tokens:
            self._say(b"")
        else:
            kind, number, body = self._inbox.of(self._tokens.pop(0))
            if kind == PREPARE:
                self._say(answered(READY, number, self._world.loop.now_s))
            else:
                self._taken = number, HandedJob(*marshal.loads(body))  # noqa: S302 - our own

    def _begin(self, number: int, handed: HandedJob) -> None:
        now_s = self._world.loop.now_s
        if handed.until_ms and now_s * 1_000 >= handed.until_ms:
            self._kept += answered(BACK, number, now_s)
            self._world.came_too_late = True
            return
        self._say(answered(BEGINS, number, now_s))
        self._runs = number, handed.job_id
        self._world.begins(handed.job_id)

    def _say(self, answer: bytes) -> None:
        self._said += self._kept + answer
        self._kept, self._ran = b"", ""

    def _race(self) -> None:
        for _ in range(next(self._world.races, 0)):
            self.act()

    def _receive(self, _: int) -> bytes:
        sent, self._sent = self._sent, b""
        assert sent, "a token comes after its frame"
        return sent


class World:
    """A pool with played children, and what must be true of it."""

    def __init__(self, size: int, races: list[int]) -> None:
        self.loop, self.size = TurnLoop(), size
        self.races: Iterator[int] = cycle(races)
        self.shop = Shop()
        self.shop.handle("short", executor=PROCESS, timeout_ms=LIMIT_MS)
        self.lanes = [self.shop.lane(0), self.shop.lane(1)]
        self.lines: list[PlayedLine] = []
        self.deliveries: list[Delivery] = []
        self.outcomes: dict[str, Outcome] = {}
        self.withdrawn: set[str] = set()
        self.begun: list[str] = []
        self.shot: set[str] = set()
        """Had begun in a child that was killed from outside, and had not said how it ended."""
        self.cut: set[str] = set()
        """The same of one that the worker killed."""
        self.came_too_late = False
        asyncio.events._set_running_loop(self.loop)  # noqa: SLF001 - as if called by it
        self.pool = ProcessExecutor(size, self._ended, machine=self.loop, open_line=self._open)
        asyncio.events._set_running_loop(None)  # noqa: SLF001

    def _open(self, listener: LineEar) -> PlayedLine:
        self.lines.append(PlayedLine(self, listener))
        return self.lines[-1]

    def _ended(self, delivery: Delivery, outcome: Outcome) -> None:
        assert delivery.id not in self.outcomes, "told once"
        assert delivery.id not in self.withdrawn
        self.outcomes[delivery.id] = outcome

    def begins(self, job_id: str) -> None:
        assert job_id not in self.outcomes, "it ended without a start"
        assert job_id not in self.withdrawn, "it was taken back"
        self.begun.append(job_id)

    def living(self) -> list[PlayedLine]:
        return [line for line in self.lines if not line.dead]

    def do(self, what: str, *told: int) -> None:
        asyncio.events._set_running_loop(self.loop)  # noqa: SLF001 - as if called by it
        try:
            getattr(self, f"_{what}")(*told)
        finally:
            asyncio.events._set_running_loop(None)  # noqa: SLF001
        if what in {"turn", "pass"}:
            for line in self.lines:
                line.notice()
            self.loop.turn()

    def _turn(self) -> None:
        """See `do`."""

    def _submit(self, count: int, place: int) -> None:
        for _ in range(count):
            job_id = f"{len(self.deliveries)}"
            record = self.shop.put(self.shop.event(job_id, "short"), None, place)
            (made,) = self.shop.deliver(self.lanes[place], record)
            self.deliveries.append(made)
            self.pool.submit(made)

    def _act(self, place: int, count: int) -> None:
        living = self.living()
        for _ in range(count if living else 0):
            living[place % len(living)].act()

    def _die(self, place: int) -> None:
        if living := self.living():
            living[place % len(living)].die()

    def _stop(self, place: int) -> None:
        if place < len(self.deliveries):
            self.pool.stop(self.deliveries[place])

    def _interrupt(self, place: int) -> None:
        self.pool.interrupt(self.lanes[place])

    def _withdraw(self, place: int) -> None:
        taken = self.pool.withdraw(self.lanes[place])
        ids = [int(delivery.id) for delivery in taken]
        assert ids == sorted(ids)
        self.withdrawn.update(map(str, ids))

    def _pass(self, ms: int) -> None:
        self.loop.now_s += ms / 1_000

    def warm(self) -> None:
        """Have every child there, and job types known to be short."""
        races, self.races = self.races, iter(())
        self.do("submit", self.size, 0)
        self._settle()
        self.races = races
        self.do("submit", 8, 1)
        self.do("turn")

    def finish(self) -> None:
        """Let everything come to its end; nothing dies any more."""
        self.races = iter(())
        self._settle()
        self.pool.close()
        self.loop.turn()
        self.loop.close()

    def _settle(self) -> None:
        for _ in range(3_000):
            if not self.pool.busy:
                break
            for line in self.living():
                line.act()
            self.do("pass", 1)
        assert not self.pool.busy, "it comes to an end"

    def judge(self) -> None:
        told = set(self.outcomes) | self.withdrawn
        assert told == {delivery.id for delivery in self.deliveries}, "nothing is lost"
        assert max(Counter(self.begun).values(), default=1) == 1, "nothing began twice"
        begun = set(self.begun)
        for job_id, outcome in self.outcomes.items():
            match outcome:
                case Crashed():
                    assert job_id in self.shot, f"{job_id} is charged"
                case TimedOut():
                    assert job_id in self.shot | self.cut
                case Unstarted():
                    assert job_id not in begun
                case _ if outcome == DONE:
                    assert job_id in begun
                case _:
                    assert outcome in {STOPPED, Interrupted()}
        assert {job_id for job_id in self.shot if self.outcomes.get(job_id) == DONE} == set()
        if self.size == 1 and not self.came_too_late:
            assert self.begun == sorted(self.begun, key=int), "in order"


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 3),
    st.sampled_from(["warm", "warm", "cold"]),
    STEPS,
    st.lists(st.sampled_from([0, 0, 0, 1, 2, 3]), min_size=7, max_size=40),
)
def test_what_had_begun_is_charged_and_nothing_is_lost(
    size: int, start: str, steps: list[tuple[str, tuple[Any, ...]]], races: list[int]
) -> None:
    world = World(size, races)
    if start == "warm":
        world.warm()
    for then, (what, *told) in steps:
        world.do(what, *told)
        if then:
            world.do(then)
    world.finish()
    world.judge()
