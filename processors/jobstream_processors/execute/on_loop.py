"""Runs async handlers on the worker's event loop.

Most of the cost of a small job would be its task. So one runner task steps handlers one after the
other; a handler that ends without ever waiting costs no task. When a handler does wait, the runner
stays with it to its end, and another runner takes over the queue: every handler still runs from
first to last step inside one real task, with a context of its own.

The end of a coroutine that is sent to is an exception, the dearest part of a small run. Inside of a
generator that delegates to it, it is a value; so each is run by such a host (`_hosted`).
"""

from __future__ import annotations

import asyncio
import contextvars
import types
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jobstream_processors.core.outcome import DONE, STOPPED, Interrupted, Outcome, Raised, TimedOut
from jobstream_processors.current import name_job
from jobstream_processors.execute.line_of_queues import OneQueue
from jobstream_processors.execute.running import (
    UNBARRED,
    context_of,
    measured,
    outcome_of,
    outcome_with,
    spot_in,
    unread_of,
)
from jobstream_processors.forked import InChild, leave, tell_in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.execute.line_of_queues import SlotLine
    from jobstream_processors.execute.running import Barred, Ended, Enter, Returned
    from jobstream_processors.ports import Machine

SLICE_S = 0.005
"""How long handlers that never wait may keep the loop before others get a turn."""
RUNNER_FAILED = "a runner of the loop executor failed"
Host = Generator[Any, "Coroutine[Any, Any, Any]", None]
"""See `_hosted`."""
Suspended = tuple[Host, Any, contextvars.Context]
"""A handler that waits: its host, what it waits for, and its context."""
GRACE_MS = 5_000
"""How long a handler that was cancelled may clean up before it is given up: see `_Yields`."""


class _Ended:
    """What a host yields when the coroutine in it has returned."""

    __slots__ = ("outcome",)

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


_DONE: Final = _Ended(DONE)


class _Yields(NamedTuple):
    """A handler that was cancelled, once, and has until then to give way."""

    outcome: Outcome
    """What it ends as, if it gives way, and if it does not."""
    until_s: float


class LoopExecutor:
    """At most `concurrency` handlers in flight, all on one event loop; see `Executes`."""

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
        self.stepping: Delivery | None = None
        self._concurrency = concurrency
        self._machine = machine
        self._now_s = machine.awake_s
        self._waiting: SlotLine = line if line is not None else OneQueue()
        self._ended, self._returned = self._waiting.ear(ended, returned, self.running)
        self._enter = enter
        self._barred, self._is_lost = barred, barred.is_lost
        self._running: dict[Delivery, asyncio.Task[None]] = {}
        """Those that wait for something, in their slots."""
        self._limits: dict[Delivery, float] = {}
        self._yields: dict[Delivery, _Yields] = {}
        """Those that were cancelled, for whatever reason came first."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._hot = False
        """Whether a runner is taking deliveries from the queue."""
        self._hosts: list[Host] = []
        """Hosts in which nothing runs: never more than there were runs at once."""
        self._at = 0.0
        """When the step under way began: the last one ended then, and a clock read is saved."""
        self._loop = asyncio.get_running_loop()
        self._is_copy = False
        """Whether this is a child that a handler forked."""
        self._in_child = InChild(self.forked)
        tell_in_child(self._in_child)

    @property
    def busy(self) -> int:
        """Deliveries that wait for a slot or run."""
        return len(self._waiting) + len(self._running)

    def before(self, queue: str) -> int:
        """Those that run, and those that wait before a job of this queue."""
        return self.busy - self._waiting.beside(queue)

    @property
    def stuck(self) -> int:
        """Runs that outlived their time limit and still hold a slot."""
        return sum(delivery.outlived for delivery in self._running)

    def withdraw(self, lane: Lane) -> list[Delivery]:
        """Take back the deliveries of `lane` that did not start."""
        return self._waiting.withdraw(lane)

    def submit(self, delivery: Delivery) -> None:
        """Run it when a slot is free."""
        self._waiting.append(delivery)
        if not self._hot and len(self._running) < self._concurrency:
            self._spawn()

    def expire(self) -> None:
        """Cancel handlers past their limit; give up on those that did not give way in time."""
        now_s = self._now_s()
        for delivery, limit_s in list(self._limits.items()):
            yields = self._yields.get(delivery)
            if yields is None:
                if now_s >= limit_s:
                    spec = delivery.spec
                    assert spec is not None  # noqa: S101 - running deliveries have a handler
                    self._cancel(delivery, TimedOut(spec.timeout_ms))
            elif now_s >= yields.until_s and not delivery.outlived:
                delivery.outlives()
                measured(delivery, yields.outcome, now_s)
                self._ended(delivery, yields.outcome)

    def interrupt(self, lane: Lane) -> None:
        """Cancel the runs of `lane`."""
        for delivery in list(self._running):
            if delivery.lane is lane:
                self._cancel(delivery, Interrupted())

    def running(self) -> list[tuple[Delivery, float]]:
        """Those that wait, and the one that keeps the loop now. Safe from any thread."""
        found, stepping = [(run, run.began) for run in list(self._running)], self.stepping
        return found if stepping is None else [*found, (stepping, self._at)]

    def stop(self, delivery: Delivery) -> None:
        """Cancel its run; end it at once if it did not start."""
        if delivery in self._running:
            self._cancel(delivery, STOPPED)
        elif delivery in self._waiting:
            self._waiting.remove(delivery)
            self._ended(delivery, STOPPED)

    def close(self) -> None:
        """Nothing to release: runners end with their handlers."""

    def forked(self) -> None:
        """In a child that a handler forked: end it once the handler ends or waits there."""
        self._ended = self._returned = leave
        self._is_copy = True
        if not self._loop.is_closed():
            self._loop.call_soon(leave)

    def _cancel(self, delivery: Delivery, outcome: Outcome) -> None:
        """Cancel a run, unless that was done: a second time would cut its clean-up short."""
        if delivery in self._yields:
            return
        until_s = self._now_s() + GRACE_MS / 1_000
        if isinstance(outcome, Interrupted):
            # Another owner's job, of which nothing is settled here: it may take all of its time.
            until_s = max(until_s, self._limits[delivery])
        self._yields[delivery] = _Yields(outcome, until_s)
        if delivery.context is not None:
            delivery.context.cancel()
        self._running[delivery].cancel()

    def _spawn(self) -> None:
        self._hot = True
        self._tasks.add(self._loop.create_task(self._run()))

    async def _run(self) -> None:
        """Be a runner, and leave no trace of it."""
        task = asyncio.current_task()
        assert task is not None, "runners are tasks"  # noqa: S101
        # Not by a callback of the task: the loop would have another turn for each job that waits.
        try:
            await self._take(task)
        except Exception as error:  # noqa: BLE001 - told to the loop's handler
            # A fault of ours: the worker must not go on half dead.
            context = {"message": RUNNER_FAILED, "exception": error, "task": task}
            self._loop.call_exception_handler(context)
        finally:
            self._tasks.discard(task)

    async def _take(self, task: asyncio.Task[None]) -> None:
        """Take deliveries while there are any; leave when another runner does."""
        self._at = self._now_s()
        until = self._at + SLICE_S
        taken = 0
        while self._waiting and len(self._running) < self._concurrency:
            delivery = self._waiting.popleft()
            suspended = self._step(delivery)
            taken += 1
            if suspended is not None:
                await self._stay(delivery, *suspended)
                if self._hot:
                    return
                self._hot = True
                self._at = self._now_s()
                until = self._at + SLICE_S
            if task.cancelling():
                # Timed out, or a handler cancelled its own task, which is this runner: the
                # cancellation could still reach the next handler, so another runner goes on.
                break
            if suspended is None and not taken % 8 and self._now_s() > until:
                self.stepping = None
                await asyncio.sleep(0)
                self._at = self._now_s()
                until = self._at + SLICE_S
        self.stepping = None
        self._hot = False
        if self._waiting and len(self._running) < self._concurrency:
            self._spawn()

    def _step(self, delivery: Delivery) -> Suspended | None:
        """Run a handler up to its first wait; None if it ended before."""
        spec = delivery.spec
        assert spec is not None, "admitted deliveries have a handler"  # noqa: S101
        if (delivery.expires_ms is not None or not delivery.lane.live or self._is_lost()) and (
            bar := self._barred(delivery)
        ) is not None:
            self._ended(delivery, bar)
            return None
        self.stepping = delivery
        try:
            args = delivery.args()
        except BaseException as error:  # noqa: BLE001 - the edge of user code: nothing may pass
            self._ended(delivery, unread_of(delivery, error))
            return None
        context = contextvars.copy_context()
        context.run(self._enter, delivery)
        host = self._hosts.pop() if self._hosts else _begun()
        try:
            # Calling a coroutine function runs none of its code, so it needs no context yet.
            if spec.wants_context:
                coroutine = spec.function(args, context_of(delivery, self._machine))
            else:
                coroutine = spec.function(args)
            given = context.run(host.send, coroutine)
        except BaseException as error:  # noqa: BLE001 - the edge of user code: nothing may pass
            outcome = outcome_of(delivery, error)
            delivery.begins(self._at)
            began, self._at = self._at, self._now_s()
            delivery.kept_loop(self._at - began)
            measured(delivery, outcome, self._at)
            self._ended(delivery, outcome)
            return None
        if type(given) is not _Ended:
            delivery.begins(self._at)
            self.stepping = None
            return host, given, context
        self._hosts.append(host)
        meter = delivery.meter
        if meter is not None or delivery.gated:
            began, self._at = self._at, self._now_s()
            if delivery.gated:
                delivery.kept_loop(self._at - began)
            if meter is not None:
                meter.runs.append(self._at - began)
                meter.waits.append(began * 1_000 - delivery.appended)
        self._ended(delivery, given.outcome)
        return None

    async def _stay(
        self,
        delivery: Delivery,
        host: Host,
        pending: Any,  # noqa: ANN401 - whatever the handler awaits
        context: contextvars.Context,
    ) -> None:
        """Host a handler that waits, to its end."""
        if self._is_copy:
            leave()  # nothing may go on
        task = asyncio.current_task()
        spec = delivery.spec
        assert task is not None  # noqa: S101 - runners are tasks
        assert spec is not None  # noqa: S101 - running deliveries have a handler
        self._running[delivery] = task
        self._limits[delivery] = self._now_s() + spec.timeout_ms / 1_000
        self._hot = False
        if self._waiting and len(self._running) < self._concurrency:
            self._spawn()
        try:
            outcome = await _steps(host, pending, context.run)
            self._hosts.append(host)
        except BaseException as error:  # noqa: BLE001 - the edge of user code: nothing may pass
            outcome = self._why(delivery, error)
        finally:
            del self._running[delivery]
            del self._limits[delivery]
            self._yields.pop(delivery, None)
        if delivery.outlived:
            self._returned(delivery)
        else:
            measured(delivery, outcome, self._now_s())
            self._ended(delivery, outcome)

    def _why(self, delivery: Delivery, error: BaseException) -> Outcome:
        if not isinstance(error, asyncio.CancelledError):
            return outcome_of(delivery, error)
        yields = self._yields.get(delivery)
        if yields is None:
            return Raised(
                "asyncio.CancelledError",
                "the handler was cancelled by its own code",
                ("asyncio.exceptions.CancelledError",),
                spot_in(delivery, error),
            )
        if isinstance(yields.outcome, TimedOut) and not delivery.outlived:
            # Cancelled where it waited: that is where its time went.
            return replace(yields.outcome, spot=spot_in(delivery, error))
        return yields.outcome


def _begun() -> Host:
    host = _hosted()
    next(host)
    return host


def _hosted() -> Host:
    """Run one coroutine after another: each that is sent, to its end.

    Yields what a coroutine waits for, and an `_Ended` once it has returned; what it raises ends the
    host, too.
    """
    coroutine = yield
    while True:
        result = yield from coroutine.__await__()
        ended = _DONE if result is None else _Ended(outcome_with(result))
        del result  # It may be long until the next.
        coroutine = yield ended


@types.coroutine
def _steps(
    host: Host,
    pending: Any,  # noqa: ANN401 - whatever the handler awaits
    run: Callable[..., Any],
) -> Generator[Any, Any, Outcome]:
    """Drive the coroutine in `host` on from its first wait, each step inside its own context."""
    while type(pending) is not _Ended:
        try:
            sent = yield pending
        except GeneratorExit:
            run(host.close)
            raise
        except BaseException as error:  # noqa: BLE001 - cancellation and errors belong to the handler
            pending = run(host.throw, error)
        else:
            pending = run(host.send, sent)
    return pending.outcome
