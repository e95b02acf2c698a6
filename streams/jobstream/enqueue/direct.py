"""A handler that is called directly, as a test does: its context collects what it enqueues.

Nothing here reaches a broker. An app that is bound to a broker in memory goes there by itself.
"""

from __future__ import annotations

import copy
import inspect
import logging
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import uuid_utils

from jobstream.enqueue.acks import unwritten
from jobstream.errors import ConfigError, EnqueueError
from jobstream_processors.context import Context, RunFacts
from jobstream_processors.current import CURRENT
from jobstream_processors.resources import Resources
from jobstream_schemas.secret import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from threading import Lock

    from jobstream.enqueue.acks import Done
    from jobstream.enqueue.client import Client
    from jobstream.enqueue.enqueued import Enqueued
    from jobstream.enqueue.lag_port import LagReader
    from jobstream.enqueue.transport import Transport
    from jobstream.job_queue import Queue
    from jobstream_processors.ports import Log, Outgoing
    from jobstream_processors.queue_plan import QueuePlan

log = logging.getLogger("jobstream.testing")

CALLED: ContextVar[str] = ContextVar("jobstream_called_directly", default="")
"""The job type whose handler runs here, called by other code than a worker; usually none."""


class DirectJob(Protocol):
    """The members of a job type that are used here: the product's `Job` is one."""

    name: str
    queue: Queue

    @property
    def timeout_ms(self) -> int:
        """The limit of one run."""


@dataclass(frozen=True, slots=True)
class Collected:
    """A child job that a handler enqueued through a context of a test."""

    id: str
    name: str
    """Of its job type."""
    args: Any
    """As they were when it was enqueued."""
    options: dict[str, Any]
    """The other options given: `delay`, `key`, `child_name` and so on."""

    def __repr__(self) -> str:
        """As a dataclass's own, without the values of secret fields."""
        args = shown(self.args)
        return f"Collected(id={self.id!r}, name={self.name!r}, args={args}, options={self.options})"


class CollectingContext(Context):
    """The context of a handler that a test calls; made by `jobstream.testing.context`.

    Children are checked and encoded as any are, and raise the same errors. They are written to no
    broker, but for the one in memory where the app of the child is bound to one.
    """

    __slots__ = ("_clients", "enqueued", "warns")

    def __init__(self, facts: RunFacts, resources: Iterable[object] = ()) -> None:
        super().__init__(facts, Resources(resources))
        self._clients: dict[object, Client] = {}
        self.warns = False
        """Whether to warn that collected jobs are not written: no test asked for that."""
        self.enqueued: list[Collected] = []
        """The child jobs, in the order of their enqueues."""

    def enqueue(self, job: Any, args: Any, **options: Any) -> Any:  # noqa: ANN401 - as in Context
        """Collect a child job; errors as in `Context.enqueue`. Does not block."""
        return self._keep(job, args, options, super().enqueue(job, args, **options))

    async def aenqueue(self, job: Any, args: Any, **options: Any) -> Any:  # noqa: ANN401 - as above
        """As `enqueue`, from a coroutine."""
        return self._keep(job, args, options, await super().aenqueue(job, args, **options))

    def client(
        self, app: object, plans: Mapping[str, QueuePlan], over: Callable[[Transport], Client]
    ) -> Client:
        """The client for children of that app's types while the app has no broker in memory."""
        if app not in self._clients:
            self._clients[app] = over(_Nowhere(plans))
            if self.warns:
                log.warning("children_not_written", extra={"job": self.name})
        return self._clients[app]

    def _keep(
        self, job: DirectJob, args: object, options: dict[str, Any], enqueued: Enqueued
    ) -> Enqueued:
        self.enqueued.append(Collected(enqueued.job_id, job.name, copy.deepcopy(args), options))
        return enqueued


def context(
    job: DirectJob,
    *,
    job_id: str | None = None,
    attempt: int = 1,
    redrive: int = 0,
    enqueued_at: datetime | None = None,
    scheduled_for: datetime | None = None,
    deadline: datetime | None = None,
    correlation_id: str | None = None,
    fencing_token: int = 0,
    is_cancelled: bool = False,
    resources: Iterable[object] = (),
) -> CollectingContext:
    """A context for a test that calls the handler of `job`, given as its second argument.

    What the handler enqueues through it is in `enqueued`, in order. Left out, the id is a new one,
    it was enqueued now, and the deadline is the job's time limit from now. All times are aware
    datetimes. `resources` are what the handler finds in `ctx.resources`, by their class. `cancel()`
    of the context lets `is_cancelled` turn True later on. Raises ConfigError.
    """
    if attempt < 1 or redrive < 0:
        message = f"attempt={attempt}, redrive={redrive}: attempts count from 1, redrives from 0"
        raise ConfigError(message)
    now_ms = time.time_ns() // 1_000_000
    limit_ms = now_ms + job.timeout_ms
    facts = RunFacts(
        job_id=job_id if job_id is not None else str(uuid_utils.uuid7()),
        name=job.name,
        queue=job.queue.name,
        redrive=redrive,
        seq=attempt - 1,
        attempt=attempt,
        enqueued_ms=_ms("enqueued_at", enqueued_at, now_ms),
        deadline_ms=_ms("deadline", deadline, limit_ms),
        fencing_token=fencing_token,
        correlation_id=correlation_id,
        source=(job.queue.name, 0, 0),
        scheduled_ms=None if scheduled_for is None else _ms("scheduled_for", scheduled_for, now_ms),
    )
    made = CollectingContext(facts, resources)
    if is_cancelled:
        made.cancel()
    return made


def call(job: DirectJob, function: Callable[..., Any], *given: object) -> Any:  # noqa: ANN401 - what it returns
    """Run a handler; outside a worker, what it enqueues past its context is refused."""
    if CURRENT.get() is not None:
        return function(*given)
    if inspect.iscoroutinefunction(function):
        return _acall(job.name, function, *given)
    with _called(job.name):
        return function(*given)


def refuse_if_called() -> None:
    """Raises EnqueueError in a handler that is called directly, which is promised no broker."""
    if name := CALLED.get():
        message = (
            f"the handler of {name!r} is called directly, without a worker, so nothing was "
            "written; enqueue through its ctx, which collects, or call it inside "
            "`with memory(app)`"
        )
        raise unwritten(EnqueueError(message))


def unasked(job: DirectJob) -> Context:
    """The context of a direct call without one; raises ConfigError where a job runs."""
    if CURRENT.get() is not None:
        message = (
            f"{job.name!r} is called by a running job without a context; pass that job's: "
            f"{job.name}(args, ctx)"
        )
        raise ConfigError(message)
    made = context(job)
    made.warns = True
    return made


class _Nowhere:
    """Acknowledges each record and keeps none: a transport whose topics are as declared."""

    def __init__(self, plans: Mapping[str, QueuePlan]) -> None:
        self._partitions = {plan.topic: plan.partitions for plan in plans.values()}
        self._written = 0

    def submit(self, record: Outgoing, done: Done) -> None:
        """Call `done` before returning."""
        self._written += 1
        done(None, record.partition, self._written - 1)

    def serve(self, pending: Lock, until: float) -> None:
        """Every submit was reported before it returned."""

    def look(self) -> None:
        """As in `serve`."""

    def hand_over(self) -> None:
        """As in `serve`."""

    def wait_for_room(self, timeout_s: float) -> bool:  # noqa: ARG002 - part of the port
        """True: nothing queues here."""
        return True

    def partitions(self, topic: str, timeout_s: float = 0.0) -> int:  # noqa: ARG002 - part of the port
        """As its queue declares; one of any other topic."""
        return self._partitions.get(topic, 1)

    def log(self) -> Log:
        """Raises EnqueueError: there is nothing to read."""
        message = "nothing is written here, so nothing can be read"
        raise EnqueueError(message)

    def lag_reader(self, offsets_topic: str) -> LagReader | None:  # noqa: ARG002 - part of the port
        """None: nothing waits here, so nothing is refused."""
        return None

    def now_ms(self) -> int:
        """As this machine has it."""
        return time.time_ns() // 1_000_000

    def close(self, timeout_s: float = 0.0) -> None:
        """Nothing waits to be sent."""


async def _acall(name: str, function: Callable[..., Any], *given: object) -> Any:  # noqa: ANN401 - what it returns
    with _called(name):
        return await function(*given)


@contextmanager
def _called(name: str) -> Iterator[None]:
    token = CALLED.set(name)
    try:
        yield
    finally:
        CALLED.reset(token)


def _ms(name: str, given: datetime | None, otherwise_ms: int) -> int:
    if given is None:
        return otherwise_ms
    if not isinstance(given, datetime) or given.utcoffset() is None:
        message = f"{name}={given!r} is not a datetime with a time zone; give an aware one"
        raise ConfigError(message)
    return round(given.timestamp() * 1000)
