"""One worker process: the event loop that runs jobs, and the threads around it.

The loop's thread owns the engine. One thread polls and commits, one settles, one mirrors
watermarks, a few take over partitions. They meet only in queues and in `call_soon_threadsafe`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

from jobstream_processors.background import aside, in_background
from jobstream_processors.errors import ReplaceProcess, WorkerStopped
from jobstream_processors.loop_driver import LoopDriver
from jobstream_processors.watch.loop_watch import LoopWatch, own_fault
from jobstream_processors.watch.standing import Standing, facts_of, run_of

if TYPE_CHECKING:
    from jobstream_processors.assembly import Parts
    from jobstream_processors.core.orders import Orders

log = logging.getLogger("jobstream.worker")

TICK_S = 0.05
POLL_S = 0.1
LEAVE_S = 3.0
"""How long a failing worker waits for its polling thread to leave the group."""


class Worker:
    """Runs until stopped, or until going on would be wrong. Made on the event loop's thread."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._stopping = threading.Event()
        self._loop = loop = asyncio.get_running_loop()
        self._end: asyncio.Future[None] = loop.create_future()
        self._error: BaseException | None = None  # What it ends with once it has drained.
        self._ticked = parts.clock.awake_s()  # When the event loop last came round.
        loop.set_exception_handler(self._on_loop_error)
        self._driver = LoopDriver(parts, loop, self)
        self.joined = self._driver.joined
        """Its parts."""
        self._feed, self._engine = self.joined.feed, self.joined.engine

    def stop(self) -> None:
        """Drain and leave; returns at once. Safe from signal handlers and any thread."""
        self._stopping.set()

    def obey(self, orders: Orders) -> None:
        """Operators' orders are these from now on; returns at once. Safe from any thread."""
        quiet = orders.quiets_worker(self._parts.name) is not None
        self._feed.obey(frozenset(orders.queues), quiet=quiet)
        self._driver.soon(self._engine.obey, orders)

    def standing(self) -> Standing:
        """What it is doing at this moment. Safe from any thread."""
        now = self._parts.clock.awake_s()
        runs = [
            run_of(d, d.spec.name, now - began if began else 0.0)
            for d, began in self._engine.running()
            if d.spec is not None
        ]
        return Standing(
            lanes=tuple(facts_of(*each) for each in self._feed.partitions()),
            runs=tuple(runs),
            concurrency=self.joined.slots,
            ticked_s=now - self._ticked,
            leaving=self._stopping.is_set(),
            stepping=self._engine.stepping,
            orders=self._engine.obeyed,
            kept=self._engine.kept(),
            breakers=tuple(self.joined.breakers.facts()),
            waiting=self._engine.census.found,
            waiting_jobs=self._engine.census.jobs,
            broker_ms=self._parts.clock.broker_ms(),
        )

    async def run(self) -> None:
        """Serve until stopped. Raises what made going on impossible; then nothing was drained."""
        parts, driver = self._parts, self._driver
        parts.pulse.watch(lambda seconds: self.standing().under_way(seconds))
        driver.settler.start()
        self.joined.mirrors.start()
        self.joined.closer.start(parts.closer_s, self.failed)
        watch = LoopWatch(lambda: self._ticked, self._engine.running, parts.clock, self._give_up)
        watch.start(self.failed)
        feeding = in_background("jobstream-poll", self._poll, self.failed)
        try:
            while not self._end.done():
                await asyncio.wait([self._end], timeout=TICK_S)
                self._engine.tick(silent=parts.pulse.is_silent())
                self._ticked = parts.clock.awake_s()
                if self._engine.stuck >= parts.stuck_max:
                    self._leave_for(ReplaceProcess(self._stuck()))
            watch.close()
            self._end.result()
            await aside("jobstream-settled", driver.settler.close, 5.0)
            await driver.tables_closed()
            if self._error is not None:
                raise self._error
        finally:
            watch.close()
            self._stopping.set()
            await aside("jobstream-left", feeding.join, LEAVE_S)
            driver.close()

    def _stuck(self) -> str:
        names = ", ".join(sorted({run.job_type for run in self.standing().runs if run.stuck}))
        return (
            f"{self._engine.stuck} handlers outlived their time limit and hold their slots, of "
            f"{names}: only a new process has all slots; give what they wait for a time limit"
        )

    def _poll(self) -> None:
        """The thread that polls, from joining the group to leaving it."""
        feed = self._feed
        feed.join(self._parts.source)
        while not feed.left:
            feed.cycle(POLL_S)
        feed.close()
        self._loop.call_soon_threadsafe(self._finish)

    # -- how it ends; each but `_leave_for`, `_finish` and `_fail` on any thread

    def is_leaving(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping.is_set()

    def without_table(self, error: BaseException) -> None:
        """Start nothing more, and leave: what runs may end, since its rows go to the topic."""
        if self._error is None:
            log.error("table_unavailable", extra={"reason": str(error)})
        self._driver.soon(self._leave_for, error)

    def failed(self, error: BaseException) -> None:
        """Publish nothing more, and end at once."""
        self._parts.pulse.stop(f"the worker is leaving: {error!r}", error)
        if not isinstance(error, WorkerStopped):
            log.error("worker_failed", exc_info=error, extra={"reason": repr(error)})
        self._driver.soon(self._fail, error)

    def _give_up(self, error: BaseException) -> None:
        """Nothing on the loop can end this process: publish nothing more, and be replaced."""
        if self._parts.give_up is not None:
            self._parts.pulse.stop(f"the worker is leaving: {error}")
            self._parts.give_up(error)

    def _leave_for(self, error: BaseException) -> None:
        """Nothing begins from now on; `run` raises the first of these once it has drained."""
        if self._error is None:
            self._error = error
            self.joined.drain(self._feed.served())
            self.stop()

    def _finish(self) -> None:
        if not self._end.done():
            self._end.set_result(None)

    def _fail(self, error: BaseException) -> None:
        if not self._end.done():
            self._end.set_exception(error)

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A fault of our own ends the worker; one of a task that user code leaked is logged."""
        if (error := own_fault(context)) is not None:
            self.failed(error)
        else:
            loop.default_exception_handler(context)
