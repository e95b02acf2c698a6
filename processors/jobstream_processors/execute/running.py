"""What every executor shares: the runs under way, their time limits, and how an end is reported."""

from __future__ import annotations

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from jobstream_processors.context import Context, RunFacts
from jobstream_processors.core.headers import foreign
from jobstream_processors.core.outcome import (
    DONE,
    NOWHERE,
    RETURNED,
    UNDECODABLE,
    DeclaredDead,
    Interrupted,
    Raised,
    Spot,
    Unreadable,
)
from jobstream_processors.execute.line_of_queues import OneQueue
from jobstream_processors.execute.spot import frame_of, spot_of
from jobstream_processors.execute.user_errors import as_is, read, told
from jobstream_processors.resources import NO_RESOURCES
from jobstream_schemas import DecodeError, SchemaMismatch

if TYPE_CHECKING:
    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.execute.line_of_queues import SlotLine
    from jobstream_processors.execute.user_errors import Clean
    from jobstream_processors.ports import Machine

NOT_TOLD = "not told, since args of this type have secret fields"


Ended = Callable[["Delivery", "Outcome"], None]
"""Called on the loop's thread when a delivery's outcome is known.

If it has `outlived` its limit, the handler still runs; `Returned` follows when it stops."""
Returned = Callable[["Delivery"], None]
"""Called on the loop's thread when a handler reported as still running has stopped."""
Enter = Callable[["Delivery"], object]
"""Called in the context of a run, just before its handler; it may set context variables."""
EnterChild = Callable[["Delivery"], "Callable[[RunFacts], object] | None"]
"""Called in the worker, just before a run is handed to a child process.

It returns what the child is to call in the context of the run; that is pickled."""


class Barred(Protocol):
    """Asked right before a run begins, from any thread: the outcome if it must not begin."""

    @property
    def is_lost(self) -> Callable[[], bool]:
        """Says whether nothing begins any more.

        While it does not, only what may expire, or has lost its lane, can be barred.
        """

    def __call__(self, delivery: Delivery, /) -> Outcome | None:
        """None: it may."""


class Executes(Protocol):
    """Runs deliveries that were admitted. Used on the loop's thread.

    It is asked for by shape: the executor of the loop is compiled, and no interpreted class is its
    base or inherits from it.
    """

    stepping: Delivery | None
    """The one whose handler keeps the event loop now. Safe from any thread."""

    @property
    def busy(self) -> int:
        """Deliveries that wait for a slot or run."""

    def before(self, queue: str) -> int:
        """Deliveries that run, or stand before a job of this queue in waiting for a slot."""

    @property
    def stuck(self) -> int:
        """Runs that outlived their time limit and still hold a slot."""

    def running(self) -> list[tuple[Delivery, float]]:
        """Deliveries that hold a slot, and when their handlers began, in awake time.

        Safe from any thread. 0 for those whose handler has not begun yet.
        """

    def withdraw(self, lane: Lane) -> list[Delivery]:
        """Take back the deliveries of `lane` that did not start; nothing is reported of them."""

    def submit(self, delivery: Delivery) -> None:
        """Run it when a slot is free."""

    def expire(self) -> None:
        """End runs whose time limit has passed, by the clock that set it."""

    def interrupt(self, lane: Lane) -> None:
        """Stop the runs of `lane` where that is possible; their outcome is Interrupted."""

    def stop(self, delivery: Delivery) -> None:
        """An operator cancelled it: stop it where that is possible, and report its end as usual.

        What did not start ends at once; a run ends when it gives way, so it may also return.
        """

    def close(self) -> None:
        """Release threads and processes; what still runs is left to end with this process."""


class Executor(ABC, Executes):
    """What executors beside the loop share: those that wait, and those that hold a slot."""

    stepping: Delivery | None = None

    def __init__(self, line: SlotLine | None = None) -> None:
        self._waiting: SlotLine = line if line is not None else OneQueue()
        self._running: dict[Delivery, Any] = {}
        """Deliveries that hold a slot."""

    @property
    def busy(self) -> int:
        """Those that wait and those that run."""
        return len(self._waiting) + len(self._running)

    def before(self, queue: str) -> int:
        """Those that run, and those that wait before a job of this queue."""
        return self.busy - self._waiting.beside(queue)

    @property
    def stuck(self) -> int:
        """Those past their limit."""
        return sum(delivery.outlived for delivery in self._running)

    def running(self) -> list[tuple[Delivery, float]]:
        """Those in a slot."""
        return [(delivery, delivery.began) for delivery in list(self._running)]

    def withdraw(self, lane: Lane) -> list[Delivery]:
        """Those of `lane` that wait."""
        return self._waiting.withdraw(lane)

    @abstractmethod
    def submit(self, delivery: Delivery) -> None:
        """Run it when a slot is free."""

    @abstractmethod
    def expire(self) -> None:
        """End runs past their limit."""

    @abstractmethod
    def interrupt(self, lane: Lane) -> None:
        """Stop the runs of `lane`."""

    @abstractmethod
    def stop(self, delivery: Delivery) -> None:
        """Stop its run, or end it where it waits."""

    @abstractmethod
    def close(self) -> None:
        """Release threads and processes."""


def measured(delivery: Delivery, outcome: Outcome, ended: float) -> None:
    """Count a run that ended with `outcome` at `ended` in awake time, or is given up; once."""
    meter, began = delivery.meter, delivery.began
    if meter is not None and began and not isinstance(outcome, Interrupted):
        wait_ms = began * 1_000 - delivery.appended
        meter.ran(outcome, ended - began, wait_ms)


class Unbarred:
    """For executors that may begin whatever they are given."""

    @staticmethod
    def is_lost() -> bool:
        """No."""
        return False

    def __call__(self, delivery: Delivery, /) -> None:
        """It may."""


UNBARRED = Unbarred()


def no_entry(delivery: Delivery) -> None:
    """For children that only name the job they run."""


def facts_of(delivery: Delivery, began_ms: int = 0) -> RunFacts:
    """What a run that begins at `began_ms` by the wall clock may know of itself.

    Of what can't be run, or does not run now, whatever is known.
    """
    meta, spec, carried, reader = delivery.meta, delivery.spec, delivery.carried, delivery.reader
    name = reader.job_type if reader is not None else ""
    return RunFacts(
        job_id=delivery.id,
        name=spec.name if spec is not None else name,
        queue=delivery.lane.queue,
        redrive=carried.redrive,
        seq=carried.seq,
        attempt=carried.attempt,
        enqueued_ms=meta.enqueued_at if meta is not None else 0,
        deadline_ms=began_ms + (spec.timeout_ms if spec is not None else 0),
        fencing_token=delivery.lane.claim,
        correlation_id=meta.correlation_id if meta is not None else None,
        source=delivery.origin,
        secret=reader.secret if reader is not None else frozenset(),
        scheduled_ms=carried.scheduled_ms,
        headers=foreign(delivery.headers) if delivery.headers else (),
    )


def outcome_of(delivery: Delivery, error: BaseException) -> Outcome:
    """What `error`, raised by its handler, stands for; the job's secrets are left out of it."""
    delivery.failed_with(error)
    return read(error, clean_of(delivery))


def spot_in(delivery: Delivery, error: BaseException) -> Spot:
    """Where its handler was when `error` came, as far as an exception of user code can be read."""
    try:
        return spot_of(error, clean_of(delivery))
    except BaseException:  # noqa: BLE001 - as when an outcome is read
        return NOWHERE


def clean_of(delivery: Delivery) -> Clean:
    """Takes the job's secrets out of a text."""
    return delivery.hidden.clean if delivery.hidden is not None else as_is


def unread(error: BaseException, *, secret: bool) -> Outcome:
    """What `error` stands for, raised while the args were built: their class runs code of its own.

    Only damaged bytes are for ever. An outcome is one there, too. Where fields are secret, and
    how their values look is not known yet, only its name is shown.
    """
    if isinstance(error, SchemaMismatch):
        return Unreadable(told(error))
    if isinstance(error, DecodeError):
        return DeclaredDead(UNDECODABLE, told(error))
    if not secret:
        return read(error)
    # A traceback may hold what the error says; where it was raised is not secret.
    return read(error, lambda _: NOT_TOLD, lambda raised, _: Spot(frame_of(raised)))


def unread_of(delivery: Delivery, error: BaseException) -> Outcome:
    """The same of a delivery whose args were built here."""
    spec, reader = delivery.spec, delivery.reader
    secret = spec is not None and spec.codec.secrets is not None
    secret = secret or (reader is not None and bool(reader.secret))
    if not secret:
        delivery.failed_with(error)
    return unread(error, secret=secret)


def outcome_with(result: object) -> Outcome:
    """What it stands for that a handler returned `result`: done, unless that is to be awaited.

    A coroutine that is not awaited has run nothing.
    """
    if result is None:
        return DONE
    try:
        if not inspect.isawaitable(result) or isinstance(result, asyncio.Future):
            return RETURNED
        if inspect.iscoroutine(result):
            result.close()
    except BaseException as error:  # noqa: BLE001 - a value of user code, which may answer anything
        return read(error)
    kind = type(result).__name__
    return Raised("jobstream.NotAwaited", f"the handler returned a {kind}: await it", ())


def context_of(delivery: Delivery, machine: Machine) -> Context:
    """The delivery's context, made at first need."""
    context = delivery.context
    if context is None:
        spec = delivery.spec
        shared = spec.resources if spec is not None else NO_RESOURCES
        context = delivery.given(Context(facts_of(delivery, machine.wall_ms()), shared))
    return context
