"""Runs plain `def` handlers in threads.

A thread can't be stopped: one past its limit is settled as timed out, but keeps its slot (and its
order key) until it returns. Threads start on demand, up to the concurrency limit, and those that a
burst has left idle end.

Waking a thread costs more than a small job. So jobs lie in one place, a thread that is awake takes
one after the other, and calls another thread only while jobs are left: handlers that wait bring up
as many threads as there are slots, and handlers that do not keep one or two busy.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections import deque
from itertools import count
from queue import SimpleQueue
from typing import TYPE_CHECKING

from jobstream_processors.core.outcome import NOWHERE, STOPPED, Outcome, Spot, TimedOut
from jobstream_processors.current import name_job
from jobstream_processors.execute.running import (
    UNBARRED,
    Executor,
    clean_of,
    context_of,
    measured,
    outcome_of,
    outcome_with,
    unread_of,
)
from jobstream_processors.execute.spot import spot_of_run
from jobstream_processors.forked import leave, tell_in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.execute.line_of_queues import SlotLine
    from jobstream_processors.execute.running import Barred, Ended, Enter, Returned
    from jobstream_processors.ports import Machine


IDLE_S = 10.0
"""Threads that nothing has needed for so long end, at the latest after twice that."""
NOT_TAKEN = float("inf")
"""The limit of a run that no thread has taken yet: its time has not begun."""


class ThreadExecutor(Executor):
    """At most `concurrency` handlers at a time, each in a daemon thread."""

    def __init__(
        self,
        concurrency: int,
        ended: Ended,
        returned: Returned,
        barred: Barred = UNBARRED,
        *,
        machine: Machine,
        enter: Enter = name_job,
        line: SlotLine | None = None,
    ) -> None:
        super().__init__(line)
        self._concurrency = concurrency
        self._machine = machine
        self._ended, self._returned = self._waiting.ear(ended, returned, self.running)
        self._enter = enter
        self._barred = barred
        self._loop = asyncio.get_running_loop()
        self._work: deque[Delivery] = deque()
        """Those that have a slot, and that no thread has taken yet."""
        self._calls: SimpleQueue[bool] = SimpleQueue()
        """Idle threads wait here: True calls one to work, False ends one."""
        self._called = False
        """Whether a thread is called and not awake yet: it will see all the work there is."""
        self._finished: deque[tuple[Delivery, Outcome, float]] = deque()
        self._running: dict[Delivery, float] = {}
        """With the awake time of its limit; a thread sets that when it takes the delivery."""
        self._threads = 0
        """Those that serve, without those that are to end."""
        self._numbers = count(1)
        self._most = 0
        """How many ran at once since the last look at idle threads."""
        self._look_s = machine.awake_s() + IDLE_S
        self._told = False
        """Whether the loop is told that something has finished, and has not looked yet."""
        self._forked = False
        tell_in_child(self)

    def submit(self, delivery: Delivery) -> None:
        """Run it when a slot is free."""
        self._waiting.append(delivery)
        if len(self._running) < self._concurrency:
            self._start(self._waiting.popleft())

    def expire(self) -> None:
        """Settle runs past their limit, whose threads go on; end threads that idle."""
        now_s = self._machine.awake_s()
        if now_s >= self._look_s:
            self._look_s = now_s + IDLE_S
            self._end_idle()
        late = [d for d, limit in self._running.items() if now_s >= limit and not d.outlived]
        stacks = sys._current_frames() if late else {}  # noqa: SLF001 - documented, for this
        for delivery in late:
            delivery.outlives()
            spec = delivery.spec
            assert spec is not None  # noqa: S101 - running deliveries have a handler
            if delivery.context is not None:
                delivery.context.cancel()
            outcome = TimedOut(spec.timeout_ms, _spot_now(delivery, stacks))
            measured(delivery, outcome, now_s)
            self._ended(delivery, outcome)

    def interrupt(self, lane: Lane) -> None:
        """Ask the runs of `lane` to stop; whether they do is theirs, a thread can't be stopped."""
        for delivery in self._running:
            if delivery.lane is lane and delivery.context is not None:
                delivery.context.cancel()

    def stop(self, delivery: Delivery) -> None:
        """Ask its run to stop, by `ctx.is_cancelled`; end it at once if it did not start."""
        if delivery in self._waiting:
            self._waiting.remove(delivery)
            self._ended(delivery, STOPPED)
        elif delivery.context is not None:
            delivery.context.cancel()

    def close(self) -> None:
        """Let idle threads end; those inside a handler end with it or with the process."""
        for _ in range(self._threads):
            self._calls.put(False)  # noqa: FBT003 - one of two calls

    def forked(self) -> None:
        """In a child that a handler forked: end it once the handler ends there."""
        self._forked = True

    def _start(self, delivery: Delivery) -> None:
        spec = delivery.spec
        assert spec is not None  # noqa: S101 - admitted deliveries have a handler
        running = self._running
        running[delivery] = NOT_TAKEN
        if spec.wants_context:
            context_of(delivery, self._machine)
        count = len(running)
        if count > self._most:
            self._most = count
            if count > self._threads:
                self._threads = count
                name = f"jobstream-handler-{next(self._numbers)}"
                threading.Thread(target=self._serve, name=name, daemon=True).start()
        self._work.append(delivery)
        if not self._called:
            self._call()

    def _call(self) -> None:
        """Call a thread. Threads and the loop may call at once: one call more does no harm.

        Work is always put down before it is looked whether a thread is called, and a thread takes
        the call before it looks for work: so none is left lying.
        """
        self._called = True
        self._calls.put(True)  # noqa: FBT003 - one of two calls

    def _end_idle(self) -> None:
        """End as many threads as were not needed since the last look: so many are idle now."""
        for _ in range(self._threads - self._most):
            self._calls.put(False)  # noqa: FBT003 - one of two calls
        self._threads = self._most
        self._most = len(self._running)

    def _serve(self) -> None:
        """A handler thread: take, run, report, as long as there is work; then wait for a call."""
        work, running, finished = self._work, self._running, self._finished
        now_s, enter, barred = self._machine.awake_s, self._enter, self._barred
        while self._calls.get():
            self._called = False
            while work:
                try:
                    delivery = work.popleft()
                except IndexError:
                    break  # Another thread was quicker.
                if work and not self._called:
                    self._call()
                spec = delivery.spec
                assert spec is not None  # noqa: S101 - admitted deliveries have a handler
                running[delivery] = now_s() + spec.timeout_ms / 1_000
                outcome = barred(delivery)
                if outcome is None:
                    outcome = contextvars.Context().run(_call, delivery, enter, now_s)
                if self._forked:
                    leave()
                finished.append((delivery, outcome, now_s()))
                del delivery, outcome  # While it idles, it keeps nothing of the job.
                if not self._told:
                    self._told = True
                    try:
                        self._loop.call_soon_threadsafe(self._collect)
                    except RuntimeError:
                        return  # The loop is closed: the worker has left and hears of no outcome.

    def _collect(self) -> None:
        self._told = False  # Before the look: what comes after it is told anew.
        finished = self._finished
        for _ in range(len(finished)):
            delivery, outcome, ended = finished.popleft()
            del self._running[delivery]
            if delivery.outlived:
                self._returned(delivery)
            else:
                measured(delivery, outcome, ended)
                self._ended(delivery, outcome)
        while self._waiting and len(self._running) < self._concurrency:
            self._start(self._waiting.popleft())


def _spot_now(delivery: Delivery, stacks: Mapping[int, FrameType]) -> Spot:
    for innermost in stacks.values():
        frame: FrameType | None = innermost
        while frame is not None and frame.f_code is not _call.__code__:
            frame = frame.f_back
        if frame is not None and frame.f_locals.get("delivery") is delivery:
            return spot_of_run(innermost, _call.__code__, clean_of(delivery))
    return NOWHERE


def _call(delivery: Delivery, enter: Enter, now_s: Callable[[], float]) -> Outcome:
    spec = delivery.spec
    assert spec is not None  # noqa: S101 - admitted deliveries have a handler
    try:
        enter(delivery)  # in a context of this run alone
        args = delivery.args()
    except BaseException as error:  # noqa: BLE001 - the edge of user code: nothing may pass
        return unread_of(delivery, error)
    delivery.begins(now_s())
    try:
        if spec.wants_context:
            result = spec.function(args, delivery.context)
        else:
            result = spec.function(args)
    except BaseException as error:  # noqa: BLE001 - the edge of user code: nothing may pass
        return outcome_of(delivery, error)
    return outcome_with(result)
