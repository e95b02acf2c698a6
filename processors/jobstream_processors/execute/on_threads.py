"""Runs plain `def` handlers in threads.

A thread can't be stopped: one past its limit is settled as timed out, but keeps its slot (and its
order key) until it returns. Threads start on demand, up to the concurrency limit, and those that a
burst has left idle end.
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
    from jobstream_processors.execute.running import Barred, Ended, Enter, Returned
    from jobstream_processors.ports import Machine


IDLE_S = 10.0
"""Threads that nothing has needed for so long end, at the latest after twice that."""


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
    ) -> None:
        super().__init__()
        self._concurrency = concurrency
        self._machine = machine
        self._ended = ended
        self._returned = returned
        self._enter = enter
        self._barred = barred
        self._loop = asyncio.get_running_loop()
        self._work: SimpleQueue[Delivery | None] = SimpleQueue()
        self._finished: deque[tuple[Delivery, Outcome, float]] = deque()
        self._running: dict[Delivery, float] = {}
        """With the awake time of its limit."""
        self._interrupted: set[Delivery] = set()
        self._threads = 0
        """Those that serve, without those that are to end."""
        self._numbers = count(1)
        self._most = 0
        """How many ran at once since the last look at idle threads."""
        self._look_s = machine.awake_s() + IDLE_S
        self._woken = False
        self._lock = threading.Lock()
        self._forked = False
        tell_in_child(self)

    def submit(self, delivery: Delivery) -> None:
        """Run it when a slot is free."""
        if len(self._running) >= self._concurrency:
            self._waiting.append(delivery)
            return
        self._start(delivery)

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
            self._work.put(None)

    def forked(self) -> None:
        """In a child that a handler forked: end it once the handler ends there."""
        self._forked = True

    def _start(self, delivery: Delivery) -> None:
        spec = delivery.spec
        assert spec is not None  # noqa: S101 - admitted deliveries have a handler
        self._running[delivery] = self._machine.awake_s() + spec.timeout_ms / 1_000
        if spec.wants_context:
            context_of(delivery, self._machine)
        self._most = max(self._most, len(self._running))
        if self._threads < len(self._running):
            self._threads += 1
            name = f"jobstream-handler-{next(self._numbers)}"
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        self._work.put(delivery)

    def _end_idle(self) -> None:
        """End as many threads as were not needed since the last look: so many are idle now."""
        for _ in range(self._threads - self._most):
            self._work.put(None)
        self._threads = self._most
        self._most = len(self._running)

    def _serve(self) -> None:
        """A handler thread: take, run, report."""
        while (delivery := self._work.get()) is not None:
            outcome = self._barred(delivery)
            if outcome is None:
                now_s = self._machine.awake_s
                outcome = contextvars.Context().run(_call, delivery, self._enter, now_s)
            if self._forked:
                leave()
            ended = self._machine.awake_s()
            with self._lock:
                self._finished.append((delivery, outcome, ended))
                wake = not self._woken
                self._woken = True
            if wake:
                try:
                    self._loop.call_soon_threadsafe(self._collect)
                except RuntimeError:
                    return  # The loop is closed: the worker has left and waits for no outcome.
            del delivery, outcome  # While it idles, it keeps nothing of the job.

    def _collect(self) -> None:
        with self._lock:
            self._woken = False
            finished = list(self._finished)
            self._finished.clear()
        for delivery, outcome, ended in finished:
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
