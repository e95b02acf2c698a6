"""An event loop that takes one round when the scheduler lets it, and never waits by itself."""

from __future__ import annotations

import asyncio
from asyncio import events
from heapq import heappop
from typing import TYPE_CHECKING, Any

from tests.simulation.runtime import Killed

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Coroutine

    from tests.simulation.runtime import Process, Scheduler


class SimLoop(asyncio.BaseEventLoop):
    """The event loop of one process."""

    # The base class has them, and its stub does not say so.
    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, scheduler: Scheduler, process: Process) -> None:
        super().__init__()
        self.process = process
        self._scheduler = scheduler
        self._queued = False
        self._armed_s = float("inf")

    def time(self) -> float:
        process = self.process
        return (process.up_us + self._scheduler.now_us - process.slept_us) / 1e6

    def run(self) -> None:
        """One round: what is ready, and the timers that are due."""
        self._queued = False
        if self.is_closed():
            return
        self.round()
        if self._ready:
            self.awake()
        elif self._scheduled:
            self._arm()

    def round(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        now_s = self.time()
        while scheduled and (scheduled[0].cancelled() or scheduled[0].when() <= now_s):
            ready.append(heappop(scheduled))
        events._set_running_loop(self)  # noqa: SLF001 - as run_forever does
        try:
            # What these make ready waits for the next round.
            for _ in range(len(ready)):
                handle = ready.popleft()
                if not handle.cancelled():
                    handle._run()  # noqa: SLF001 - as the base class does
        finally:
            events._set_running_loop(None)  # noqa: SLF001

    def awake(self) -> None:
        """Something is ready."""
        if not self._queued:
            self._queued = True
            self._scheduler.ready.append(self)

    def timed_out(self, token: int) -> None:  # noqa: ARG002 - a round finds what is due
        self._armed_s = float("inf")
        self.awake()

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin a coroutine, as `asyncio.run` does."""
        task = self.create_task(work)
        self.awake()
        return task

    def run_in_executor(  # type: ignore[override] # its stub speaks of type variables
        self,
        executor: Any,  # noqa: ANN401, ARG002 - each call has a thread of its own
        func: Callable[..., Any],
        *args: Any,  # noqa: ANN401
    ) -> asyncio.Future[Any]:
        future = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except Killed:
                raise
            except BaseException as error:  # noqa: BLE001 - whoever awaits is told
                self.call_soon_threadsafe(_fail, future, error)
            else:
                self.call_soon_threadsafe(_succeed, future, result)

        if self.process.dead:
            future.set_exception(RuntimeError("the process is dead"))
        else:
            self._scheduler.spawn(self.process, "asyncio", work)
        return future

    def _arm(self) -> None:
        when = self._scheduled[0].when()
        if when < self._armed_s:
            self._armed_s = when
            # A microsecond more than rounding may take away.
            self._scheduler.timer(round((when - self.time()) * 1e6) + 1, self, 0)

    def _write_to_self(self) -> None:
        self.awake()


def _succeed(future: asyncio.Future[Any], result: object) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
