"""Carries things between the threads of a worker process: the loop, polling and settling.

The thread that polls calls the `Driver` part of it and waits where it must; take-overs and closing
tables have threads of their own, since both wait for brokers and disks.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from jobstream_processors.assembly import Assembly
from jobstream_processors.assignment.phases import QUEUE
from jobstream_processors.background import ended_soon
from jobstream_processors.errors import PublishFailed, TableUnavailable
from jobstream_processors.settle.thread import SettleThread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobstream_processors.assembly import Parts
    from jobstream_processors.assignment.lane import Arrival, Lane
    from jobstream_processors.delivery import Decided
    from jobstream_processors.ports import Record, TopicPartition
    from jobstream_processors.settle.thread import Settles

log = logging.getLogger("jobstream.worker")

TAKEOVERS_AT_ONCE = 8
"""They mostly wait for brokers: one that died must not hold up partitions that it does not lead."""
CLOSES_AT_ONCE = 4
LOOK_S = 1.0
"""So often a take-over that waits for answers looks whether it is still wanted."""
MIRROR_S = 3.0
"""How long a hand-over waits for its mirror: what that lacks, the commit tells."""


class Leaver(Protocol):
    """What ends the worker; each may be called from any thread."""

    def is_leaving(self) -> bool:
        """Whether it was asked to stop."""

    def failed(self, error: BaseException) -> None:
        """End at once, by this error."""

    def without_table(self, error: BaseException) -> None:
        """Start nothing more, let what runs end, and leave by this error."""


class Parting(NamedTuple):
    """What must be over of a lane before its partition has another one here."""

    closed: threading.Event
    """Its table is."""
    answered: threading.Event
    """Brokers append nothing more of what it sent: a claim does not keep out rows of this process
    that are still on their way, and jobs that have ended would start again."""


class LoopDriver:
    """The `Carriers` of a worker process. Made on the loop's thread."""

    def __init__(self, parts: Parts, loop: asyncio.AbstractEventLoop, leaver: Leaver) -> None:
        self._parts = parts
        self._loop = loop
        self.is_leaving, self.failed = leaver.is_leaving, leaver.failed
        self.without_table = leaver.without_table
        self._progress = threading.Event()
        self._partings: dict[TopicPartition, Parting] = {}
        self._restorers = ThreadPoolExecutor(TAKEOVERS_AT_ONCE, "jobstream-takeover")
        # Of their own: a take-over waits for the table that its partition had here before.
        self._closers = ThreadPoolExecutor(CLOSES_AT_ONCE, "jobstream-close")
        self.ask = self._restorers.submit
        self.settler: SettleThread
        self.joined = Assembly(parts, loop, self)
        self.remains = self.joined.remains

    # -- between the engine and the thread that settles

    def settling(self, settler: Settles) -> Callable[[list[Decided]], None]:
        """What puts decisions into the inbox of the thread that settles."""
        self.settler = SettleThread(settler, self._report, self.failed, self._parts.meter)
        return self.settler.put

    def _report(self, batch: list[Decided]) -> None:
        self._loop.call_soon_threadsafe(self._settled, batch)

    def _settled(self, batch: list[Decided]) -> None:
        self.joined.engine.settled(batch)
        self._progress.set()

    def announced(self, lanes: list[tuple[Lane, int]]) -> None:
        """Tell the engine how far lanes may begin."""
        self.soon(self.joined.engine.widen, lanes)

    def soon(self, function: Callable[..., object], *given: object) -> None:
        """Call it on the loop's thread, unless the worker has left; returns at once."""
        with suppress(RuntimeError):  # The loop is closed: the worker has left already.
            self._loop.call_soon_threadsafe(function, *given)

    # -- how the feed reaches the engine, on the thread that polls

    def hand(self, batch: list[tuple[Lane, list[Record]]]) -> None:
        """Give records to the engine; returns at once."""
        self._loop.call_soon_threadsafe(self.joined.engine.carry, batch)

    def prepare(self, arrival: Arrival) -> None:
        """Restore it on a thread of its own."""
        self._restorers.submit(self._take_over, arrival)

    def begin(self, lane: Lane) -> None:
        """Tell the engine that the lane runs."""
        self._loop.call_soon_threadsafe(self.joined.engine.begin, lane)

    def drain(self, lanes: Sequence[Lane]) -> None:
        """Start nothing more of the lanes; what runs goes on, and settles."""
        self._call(self.joined.drain, lanes)

    def cut(self, lanes: Sequence[Lane]) -> None:
        """Stop what runs of the lanes, where that is possible."""
        self._call(self.joined.cut, lanes)

    def hand_over(self, lanes: Sequence[Lane]) -> None:
        """End the lanes, mirror how far they came, and close their tables. Blocks a few seconds."""
        self._call(self.joined.part_with, lanes)
        mirrored = self._closers.submit(self._parts.takeover.mirror.publish, list(lanes))
        try:
            mirrored.result(MIRROR_S)
        except (PublishFailed, TimeoutError) as error:
            log.warning("mirror_failed", extra={"reason": str(error) or "no answer in time"})
        self._release(lanes)

    def end(self, lanes: Sequence[Lane]) -> None:
        """End the lanes at once."""
        self._call(self.joined.end, lanes)
        self._release(lanes)

    def wait(self, timeout_s: float) -> None:
        """Block until something was finished, or the time is over."""
        self._progress.wait(timeout_s)
        self._progress.clear()

    def _call(self, work: Callable[[Sequence[Lane]], None], lanes: Sequence[Lane]) -> None:
        """Do it on the loop's thread, and wait for it."""

        async def on_loop() -> None:
            work(lanes)

        if lanes:
            asyncio.run_coroutine_threadsafe(on_loop(), self._loop).result()

    # -- tables, each on a thread of its own

    def _release(self, lanes: Sequence[Lane]) -> None:
        """Close the shards after whatever still settles; a new owner here waits for that."""
        for lane in lanes:
            parting = self._partings[lane.source] = Parting(threading.Event(), threading.Event())
            # After whatever still settles, but not on its thread: closing may take a while.
            close = partial(self._closers.submit, self._close_table, lane, parting.closed)
            self.settler.call(close)
            self.settler.after(lane, parting.answered.set)

    def _close_table(self, lane: Lane, closed: threading.Event) -> None:
        try:
            self._parts.takeover.release(lane)
        finally:
            closed.set()

    def _take_over(self, arrival: Arrival) -> None:
        feed = self.joined.feed
        try:
            parting = self._partings.get(arrival.source)
            if parting is not None:
                parting.closed.wait()
                while arrival.live and not parting.answered.wait(LOOK_S):
                    pass
            if not arrival.live:
                return  # Revoked before its turn: a claim now would only look like a crash.
            arrival.phases.spent(QUEUE)
            lane = self._parts.takeover.prepare(arrival)
        except BaseException as error:  # noqa: BLE001 - a partition that can't be served stops the worker
            if arrival.live:
                no_table = isinstance(error, TableUnavailable)
                (self.without_table if no_table else feed.failed)(error)
            return
        if lane is None:
            return  # Revoked, or only an operator can decide: the other partitions need not wait.
        if not arrival.live:
            self._parts.takeover.release(lane)
            return
        log.debug("partition_restored", extra={"partition": arrival.source})
        feed.prepared(arrival)

    async def tables_closed(self) -> None:
        """Wait, for a few seconds at most, until tables are closed or given up half restored."""
        await ended_soon(self._restorers, self._closers)

    def close(self) -> None:
        """Settle and take over nothing more; waits for nothing."""
        self.settler.close(0.0)  # After an error it still waits for work.
        self.joined.mirrors.close()
        self.joined.closer.close()
        for pool in (self._restorers, self._closers):
            pool.shutdown(wait=False, cancel_futures=True)
        self.joined.engine.close()
