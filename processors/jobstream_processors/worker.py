"""One worker process: the event loop that runs jobs, and the threads around it.

The loop's thread owns the engine. One thread polls and commits, one settles, one mirrors
watermarks, a few take over partitions. They meet only in queues and in `call_soon_threadsafe`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from jobstream_processors.assignment.feed import Feed
from jobstream_processors.assignment.phases import QUEUE
from jobstream_processors.assignment.skipped import Lookout
from jobstream_processors.assignment.unfinished import Remains, left, remains
from jobstream_processors.background import aside, ended_soon, in_background
from jobstream_processors.core.orders import NOTHING
from jobstream_processors.engine.engine import Engine
from jobstream_processors.engine.intake import Intake
from jobstream_processors.errors import (
    PublishFailed,
    ReplaceProcess,
    TableUnavailable,
    WorkerStopped,
)
from jobstream_processors.execute.bars import Bars
from jobstream_processors.execute.on_loop import LoopExecutor
from jobstream_processors.execute.on_processes import ProcessExecutor
from jobstream_processors.execute.on_threads import ThreadExecutor
from jobstream_processors.job_types import ASYNC, PROCESS, THREAD, slots_of
from jobstream_processors.settle.letter_closer import Closer
from jobstream_processors.settle.settler import Settler
from jobstream_processors.settle.thread import MirrorThread, SettleThread
from jobstream_processors.watch.loop_errors import own_fault
from jobstream_processors.watch.loop_watch import LoopWatch
from jobstream_processors.watch.standing import Standing, run_of

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.orders import Orders
    from jobstream_processors.execute.running import Executor
    from jobstream_processors.parts import Parts
    from jobstream_processors.ports import Position, Record, TopicPartition
    from jobstream_processors.settle.settler import Decided

log = logging.getLogger("jobstream.worker")

TICK_S = 0.05
POLL_S = 0.1
TAKEOVERS_AT_ONCE = 8
"""They mostly wait for brokers: one that died must not hold up partitions that it does not lead."""
CLOSES_AT_ONCE = 4
MIRROR_S = 3.0
"""How long a hand-over waits for its mirror: what that lacks, the commit tells."""
LEAVE_S = 3.0
"""How long a failing worker waits for its polling thread to leave the group."""


class Worker:
    """Runs until told to stop, or until going on would be wrong."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._stopping = threading.Event()
        self._progress = threading.Event()
        self._released: dict[TopicPartition, threading.Event] = {}
        self._restorers = ThreadPoolExecutor(TAKEOVERS_AT_ONCE, "jobstream-takeover")
        # Of their own: a take-over waits for the table that its partition had here before.
        self._closers = ThreadPoolExecutor(CLOSES_AT_ONCE, "jobstream-close")
        self._end: asyncio.Future[None]
        self._loop: asyncio.AbstractEventLoop
        self._engine: Engine
        self._settling: SettleThread
        self._mirrors: MirrorThread
        self._closer: Closer
        self._feed: Feed
        served = [spec for spec in parts.specs.values() if spec.queue in parts.plans]
        self._slots = slots_of(served, parts.concurrency, parts.children)
        self._ticked = 0.0  # When the event loop last came round, in awake time.
        self._orders: Orders = NOTHING
        self._error: BaseException | None = None  # What it ends with once it has drained.

    def obey(self, orders: Orders) -> None:
        """Operators' orders are these from now on; returns at once. Safe from any thread."""
        self._orders = orders
        if hasattr(self, "_feed"):
            self._tell_feed()
        if hasattr(self, "_loop"):
            with suppress(RuntimeError):  # The loop is closed: the worker has left already.
                self._loop.call_soon_threadsafe(lambda: self._engine.obey(self._orders))

    def stop(self) -> None:
        """Drain and leave; returns at once. Safe from signal handlers and any thread."""
        self._stopping.set()

    def standing(self) -> Standing | None:
        """What it is doing at this moment; None before `run`. Safe from any thread."""
        if not self._ticked:
            return None
        now = self._parts.clock.awake_s()
        runs = [
            run_of(d, d.spec.name, now - began if began else 0.0)
            for d, began in self._engine.running()
            if d.spec is not None
        ]
        return Standing(
            lanes=tuple(self._feed.facts()),
            runs=tuple(runs),
            concurrency=self._slots,
            ticked_s=now - self._ticked,
            leaving=self._stopping.is_set(),
            stepping=self._engine.stepping,
            orders=self._engine.obeyed,
        )

    async def run(self) -> None:
        """Serve until stopped. Raises what made going on impossible; then nothing was drained."""
        self._build()
        parts = self._parts
        parts.pulse.watch(self.standing)
        self._ticked = parts.clock.awake_s()
        self._settling.start()
        self._mirrors.start()
        self._closer.start(parts.closer_s, self._failed_anywhere)
        watch = LoopWatch(lambda: self._ticked, self._engine.running, parts.clock, self._give_up)
        watch.start(self._failed_anywhere)
        feeding = in_background("jobstream-poll", self._poll, self._failed_anywhere)
        try:
            while not self._end.done():
                await asyncio.wait([self._end], timeout=TICK_S)
                self._engine.tick(silent=parts.pulse.is_silent())
                self._ticked = parts.clock.awake_s()
                if self._engine.stuck >= parts.stuck_max:
                    self._leave_for(ReplaceProcess(self._stuck()))
            watch.close()
            self._end.result()
            await aside("jobstream-settled", self._settling.close, 5.0)
            # Tables are closed, or given up half restored.
            await ended_soon(self._restorers, self._closers)
            if self._error is not None:
                raise self._error
        finally:
            watch.close()
            self._stopping.set()
            await aside("jobstream-left", feeding.join, LEAVE_S)
            self._settling.close(0.0)  # After an error it still waits for work.
            self._mirrors.close()
            self._closer.close()
            for pool in (self._restorers, self._closers):
                pool.shutdown(wait=False, cancel_futures=True)
            self._engine.close()

    def _stuck(self) -> str:
        standing = self.standing()
        runs = standing.runs if standing is not None else ()
        names = ", ".join(sorted({run.job_type for run in runs if run.stuck}))
        return (
            f"{self._engine.stuck} handlers outlived their time limit and hold their slots, of "
            f"{names}: only a new process has all slots; give what they wait for a time limit"
        )

    def _build(self) -> None:
        parts, tracing = self._parts, self._parts.tracing
        self._loop = loop = asyncio.get_running_loop()
        self._end = loop.create_future()
        loop.set_exception_handler(self._on_loop_error)
        self._settling = SettleThread(
            tracing.settler(Settler(parts.sink, parts.plans, parts.clock, self._without_table)),
            self._report,
            self._failed_anywhere,
            parts.meter,
        )
        intake = Intake(parts.specs, parts.catalogue, parts.clock, tracing.received)
        put = tracing.put(self._settling.put)
        self._engine = Engine(intake, parts.clock, put, loop, parts.meter)
        self._mirrors = MirrorThread(
            parts.sink,
            self._served,
            parts.takeover.mirror_record,
            parts.limits.commit_ms / 1000,
            self._failed_anywhere,
            announced=self._widen,
        )
        make = partial(Feed, known_id=parts.reader.known_id, meter=parts.meter, ready=parts.ready)
        self._feed = make(parts.plans, self, parts.clock, parts.pulse, parts.limits)
        lookout = Lookout(parts.reader, loop, self._restorers.submit, self._feed.verdicts)
        self._engine.run_on(self._executors(), parts.failed, lookout, tracebacks=parts.tracebacks)
        self._engine.horizon.announce_by((self._mirrors.wake, self._slots))
        self._closer = Closer(parts.plans, parts.reader, parts.sink, self._served)
        self._engine.obey(self._orders)

    def _executors(self) -> dict[str, Executor]:
        parts, tracing = self._parts, self._parts.tracing
        ended, returned = tracing.ended(self._engine.ended), self._engine.returned
        clock, enter = parts.clock, tracing.enter
        many, bars = parts.concurrency, Bars(clock, parts.pulse.is_lost)
        children, begins = parts.children, parts.child_begins
        return {
            ASYNC: LoopExecutor(many, ended, returned, bars, machine=clock, enter=enter),
            THREAD: ThreadExecutor(many, ended, returned, bars, machine=clock, enter=enter),
            PROCESS: ProcessExecutor(
                children, ended, bars, begins, machine=clock, enter=tracing.enter_child
            ),
        }

    def _served(self) -> list[Lane]:
        return list(self._feed.running)

    # -- the thread that polls

    def _poll(self) -> None:
        feed = self._feed
        self._tell_feed()
        feed.join(self._parts.source)
        while not feed.left:
            feed.cycle(POLL_S)
        feed.close()
        self._loop.call_soon_threadsafe(self._finish)

    def _tell_feed(self) -> None:
        orders, name = self._orders, self._parts.name
        self._feed.obey(frozenset(orders.queues), quiet=orders.quiets_worker(name) is not None)

    # -- how the feed reaches the engine

    def hand(self, batch: list[tuple[Lane, list[Record]]]) -> None:
        """Give records to the engine; returns at once."""
        self._loop.call_soon_threadsafe(self._engine.accept, batch)

    def prepare(self, lane: Lane, committed: Position | None) -> None:
        """Restore the lane on a thread of its own."""
        self._restorers.submit(self._take_over, lane, committed)

    def begin(self, lane: Lane) -> None:
        """Tell the engine that the lane runs."""
        self._loop.call_soon_threadsafe(self._engine.begin, lane)

    def is_leaving(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    def drain(self, lanes: Sequence[Lane]) -> None:
        """Start nothing more of the lanes; what runs goes on, and settles."""
        if lanes:
            self._call(self._drained(lanes))

    def remains(self, lanes: Sequence[Lane]) -> Remains:
        """What of draining lanes is not through yet."""
        return remains(self._engine.under_way(lanes))

    def cut(self, lanes: Sequence[Lane]) -> None:
        """Stop what runs of the lanes, where that is possible."""
        self._call(self._cut(lanes))

    def hand_over(self, lanes: Sequence[Lane]) -> None:
        """End the lanes, mirror how far they came, and close their tables. Blocks a few seconds."""
        self._call(self._handed_over(lanes))
        mirrored = self._closers.submit(self._mirrors.publish, list(lanes))
        try:
            mirrored.result(MIRROR_S)
        except (PublishFailed, TimeoutError) as error:
            log.warning("mirror_failed", extra={"reason": str(error) or "no answer in time"})
        self._release(lanes)

    def end(self, lanes: Sequence[Lane]) -> None:
        """End the lanes at once."""
        if lanes:
            self._call(self._ended(lanes))
            self._release(lanes)

    def wait(self, timeout_s: float) -> None:
        """Block until something was finished, or the time is over."""
        self._progress.wait(timeout_s)
        self._progress.clear()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the loop from the thread that polls, and wait for it."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _release(self, lanes: Sequence[Lane]) -> None:
        """Close the shards after whatever still settles; a new owner here waits for that."""
        for lane in lanes:
            if hasattr(lane, "shard"):
                done = self._released[lane.source] = threading.Event()
                # After whatever still settles, but not on its thread: closing may take a while.
                close = partial(self._closers.submit, self._close_table, lane, done)
                self._settling.call(close)

    def _close_table(self, lane: Lane, done: threading.Event) -> None:
        try:
            self._parts.takeover.release(lane)
        finally:
            done.set()

    def _take_over(self, lane: Lane, committed: Position | None) -> None:
        try:
            waiting = self._released.get(lane.source)
            if waiting is not None:
                waiting.wait()
            if not lane.live:
                return  # Revoked before its turn: a claim now would only look like a crash.
            lane.phases.spent(QUEUE)
            start = self._parts.takeover.prepare(lane, committed)
        except BaseException as error:  # noqa: BLE001 - a partition that can't be served stops the worker
            if lane.live:
                no_table = isinstance(error, TableUnavailable)
                (self._without_table if no_table else self._feed.failed)(error)
            return
        if start is None:
            return  # Only an operator can decide; the other partitions need not wait for that.
        if not lane.live:
            self._parts.takeover.release(lane)
            return
        log.debug("partition_restored", extra={"partition": lane.source})
        self._feed.prepared(lane, start)

    # -- the loop's thread

    async def _drained(self, lanes: Sequence[Lane]) -> None:
        for lane in lanes:
            self._engine.drain(lane)
        self._engine.flush()

    async def _cut(self, lanes: Sequence[Lane]) -> None:
        for lane in lanes:
            self._engine.cut(lane)

    async def _handed_over(self, lanes: Sequence[Lane]) -> None:
        for lane in lanes:
            lane.show()
            lane.left = left(lane, self._engine.unfinished(lane), self._parts.clock)
            self._engine.end(lane)

    async def _ended(self, lanes: Sequence[Lane]) -> None:
        for lane in lanes:
            self._engine.end(lane)

    def _settled(self, batch: list[Decided]) -> None:
        self._engine.settled(batch)
        self._progress.set()

    def _leave_for(self, error: BaseException) -> None:
        """Nothing begins from now on; `run` raises the first of these once it has drained."""
        if self._error is None:
            self._error = error
            for lane in self._served():
                self._engine.drain(lane)
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
            self._failed_anywhere(error)
        else:
            loop.default_exception_handler(context)

    # -- any thread

    def _widen(self, announced: list[tuple[Lane, int]]) -> None:
        with suppress(RuntimeError):  # The loop is closed: the worker has left already.
            self._loop.call_soon_threadsafe(self._engine.horizon.widen, announced)

    def _without_table(self, error: BaseException) -> None:
        """Start nothing more, and leave: what runs may end, since its rows go to the topic."""
        if self._error is None:
            log.error("table_unavailable", extra={"reason": str(error)})
        with suppress(RuntimeError):  # The loop is closed: the worker has left already.
            self._loop.call_soon_threadsafe(self._leave_for, error)

    def _report(self, batch: list[Decided]) -> None:
        self._loop.call_soon_threadsafe(self._settled, batch)

    def _give_up(self, error: BaseException) -> None:
        """Nothing on the loop can end this process: publish nothing more, and be replaced."""
        if self._parts.give_up is not None:
            self._parts.pulse.stop(f"the worker is leaving: {error}")
            self._parts.give_up(error)

    def _failed_anywhere(self, error: BaseException) -> None:
        self._parts.pulse.stop(f"the worker is leaving: {error!r}")
        if not isinstance(error, WorkerStopped):
            log.error("worker_failed", exc_info=error, extra={"reason": repr(error)})
        with suppress(RuntimeError):  # The loop is closed: the worker has left already.
            self._loop.call_soon_threadsafe(self._fail, error)
