"""Virtual time, processes, and a scheduler that lets one of them take its next step at a time.

Threads of the product are greenlets here, event loops are stepped: everything runs on one thread of
the machine. Who goes next is drawn from a seeded generator, and time passes only as it says. It
knows nothing of jobs.
"""

from __future__ import annotations

import random
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Protocol

import greenlet  # type: ignore[import-untyped] # it has no types

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_US = 20
"""What one step costs of virtual time."""
IDLE_STEPS_MAX = 200_000
"""Steps without a wait after which something turns in circles."""
EPOCH_US = 1_800_000_000_000_000


class Killed(BaseException):
    """Ends the threads of a process that is dead; no handler of the product outlives it."""


class WouldBlock(AssertionError):
    """Code on an event loop was about to wait as only threads may."""


class Runnable(Protocol):
    """What the scheduler lets take a step."""

    process: Process

    def run(self) -> None:
        """Take one step."""

    def timed_out(self, token: int) -> None:
        """The time of a timer has come."""


class Process:
    """One process on a machine of its own: its clocks, and whether it lives, sleeps or is dead."""

    def __init__(
        self, name: str, *, wall_skew_us: int = 0, slept_before_us: int = 0, up_us: int = 10**9
    ) -> None:
        self.name = name
        self.wall_skew_us = wall_skew_us
        self.slept_us = 0
        """How long its machine was suspended since the process began."""
        self.slept_before_us = slept_before_us
        self.up_us = up_us
        self.dead = False
        self.frozen = False
        self.frozen_us = 0
        """Since when."""
        self.suspended = False
        """It is frozen since its machine is: its clock stands still."""
        self.held_timers: list[tuple[int, Runnable, int, int]] = []
        """What came due by the world's time while it was suspended, and not by its own."""
        self.expelled = False
        """Its group has given it up, and it has not heard of that yet."""
        self.parked: list[Runnable] = []
        """What was to run while it was frozen."""
        self.tasks: dict[Task, None] = {}
        self.troubles: list[str] = []
        """Threads that ended by an exception nobody caught."""

    def __repr__(self) -> str:
        return self.name


class Task:
    """A thread of a process."""

    __slots__ = ("_work", "greenlet", "name", "process", "scheduler", "token", "waiting", "woken")

    def __init__(
        self, scheduler: Scheduler, process: Process, name: str, work: Callable[[], object]
    ) -> None:
        self.scheduler = scheduler
        self.process = process
        self.name = name
        self._work = work
        self.greenlet = greenlet.greenlet(self._main, scheduler.hub)
        self.token = 0
        self.waiting = False
        self.woken = False

    def _main(self) -> None:
        try:
            self._work()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - told as a thread's end is told
            if not self.process.dead:
                self.process.troubles.append(f"{self.name}: {error!r}")
        finally:
            self.process.tasks.pop(self, None)

    @property
    def is_alive(self) -> bool:
        return not self.greenlet.dead

    def run(self) -> None:
        scheduler = self.scheduler
        scheduler.task = self
        self.greenlet.switch()
        scheduler.task = None

    def timed_out(self, token: int) -> None:
        if self.waiting and self.token == token:
            self.waiting = False
            self.scheduler.ready.append(self)

    def end(self) -> None:
        """Unwind it; its process is dead."""
        while self.greenlet:  # Neither dead nor never begun.
            self.scheduler.task = self
            self.greenlet.throw(Killed)
        self.scheduler.task = None


class Call:
    """Something that happens at a time of its own."""

    def __init__(self, process: Process, call: Callable[[], object], scheduler: Scheduler) -> None:
        self.process = process
        self._call = call
        self._scheduler = scheduler

    def run(self) -> None:
        self._call()

    def timed_out(self, token: int) -> None:  # noqa: ARG002 - it has one timer
        self._scheduler.ready.append(self)


WORLD = "world"


class Scheduler:
    """Runs everything, one step at a time."""

    def __init__(self, seed: int | str, *, hesitation: float = 0.0) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.now_us = 0
        self.hub = greenlet.getcurrent()
        self.ready: list[Runnable] = []
        self.task: Task | None = None
        self.process: Process | None = None
        self.hesitation = hesitation
        """How often a step comes late though nothing holds it up."""
        self.world = Process(WORLD)
        self.steps = 0
        self._timers: list[tuple[int, int, Runnable, int, int]] = []
        self._numbers = 0

    # -- for whoever runs inside

    def spawn(self, process: Process, name: str, work: Callable[[], object]) -> Task:
        """A new thread of `process`, which begins soon."""
        task = Task(self, process, name, work)
        process.tasks[task] = None
        self.ready.append(task)
        return task

    def at(self, delay_us: int, call: Callable[[], object], process: Process | None = None) -> None:
        """Call that much later, unless `process` is dead by then."""
        self.timer(delay_us, Call(process or self.world, call, self), 0)

    def timer(self, delay_us: int, of: Runnable, token: int) -> None:
        self._numbers += 1
        at_us = self.now_us + max(0, delay_us)
        heappush(self._timers, (at_us, self._numbers, of, token, of.process.slept_us))

    def block(self, timeout_s: float | None = None) -> bool:
        """Let others run until woken; False if the time is over first."""
        task = self.task
        if task is None:
            if self.process is not None and self.process.dead:
                raise Killed
            message = "an event loop would wait here"
            raise WouldBlock(message)
        if task.process.dead:
            raise Killed
        task.token += 1
        task.waiting, task.woken = True, False
        if timeout_s is not None:
            self.timer(round(timeout_s * 1e6), task, task.token)
        self.hub.switch()
        if task.process.dead:
            raise Killed
        return task.woken

    def sleep(self, seconds: float) -> None:
        self.block(seconds)

    def wake(self, task: Task) -> None:
        if task.waiting:
            task.waiting, task.woken = False, True
            self.ready.append(task)

    # -- clocks, by the process that asks

    def monotonic_us(self) -> int:
        """CLOCK_MONOTONIC: stands still while the machine is suspended."""
        process = self.process or self.world
        return process.up_us + self.now_us - process.slept_us

    def boottime_us(self) -> int:
        process = self.process or self.world
        return process.up_us + process.slept_before_us + self.now_us

    def wall_us(self) -> int:
        process = self.process or self.world
        return EPOCH_US + self.now_us + process.wall_skew_us

    # -- from outside

    def run(self, until: Callable[[], bool], limit_us: int) -> bool:
        """Let steps be taken until `until()`, looked at whenever all wait; False at the limit."""
        ready, rng = self.ready, self.rng
        draw = rng.random
        idle = 0
        while True:
            if not ready:
                idle = 0
                if until():
                    return True
                if not self._tick(limit_us):
                    return False
                continue
            idle += 1
            if idle > IDLE_STEPS_MAX:
                message = f"{IDLE_STEPS_MAX} steps without a wait: {ready[:5]}"
                raise AssertionError(message)
            index = int(draw() * len(ready))
            chosen = ready[index]
            ready[index] = ready[-1]
            ready.pop()
            process = chosen.process
            if process.dead:
                continue
            if process.frozen:
                process.parked.append(chosen)
                continue
            if self.hesitation and draw() < self.hesitation:
                self._late(chosen)
                continue
            self.now_us += STEP_US
            self.steps += 1
            self.process = process
            chosen.run()
            self.process = None

    def _late(self, chosen: Runnable) -> None:
        late_us = int(self.rng.random() ** 4 * 400_000)
        self.timer(late_us, Call(chosen.process, lambda: self.ready.append(chosen), self), 0)

    def _tick(self, limit_us: int) -> bool:
        """On to the next moment at which something is to happen."""
        while self._timers:
            at_us, _, of, token, slept_us = heappop(self._timers)
            process = of.process
            if process.dead:
                continue
            if process.suspended:
                process.held_timers.append((at_us, of, token, slept_us))
                continue
            if process.slept_us != slept_us:
                # Its clock stood still meanwhile.
                at_us += process.slept_us - slept_us
                if at_us > self.now_us:
                    self.timer(at_us - self.now_us, of, token)
                    continue
            if at_us > limit_us:
                self._numbers += 1
                heappush(self._timers, (at_us, self._numbers, of, token, process.slept_us))
                self.now_us = max(self.now_us, limit_us)
                return False
            self.now_us = max(self.now_us, at_us)
            of.timed_out(token)
            return True
        return False

    # -- what happens to processes

    def freeze(self, process: Process, *, suspended: bool) -> None:
        process.frozen, process.suspended = True, suspended

    def thaw(self, process: Process) -> None:
        process.frozen = process.suspended = False
        for at_us, of, token, slept_us in process.held_timers:
            self._numbers += 1
            heappush(self._timers, (at_us, self._numbers, of, token, slept_us))
        process.held_timers.clear()
        self.ready.extend(process.parked)
        process.parked.clear()

    def end(self, process: Process) -> None:
        """It is dead: nothing of it takes another step, and its threads are unwound."""
        process.dead = True
        before, self.process = self.process, process
        task = self.task
        for each in list(process.tasks):
            each.end()
        self.process, self.task = before, task

    def close(self, processes: list[Process]) -> None:
        """Unwind everything that is left."""
        for process in processes:
            self.end(process)
        self.ready.clear()
        self._timers.clear()
