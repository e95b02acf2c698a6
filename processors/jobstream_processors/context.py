"""What a handler may ask about the run it is in, and how it enqueues child jobs."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from jobstream_processors.resources import NO_RESOURCES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping

    from jobstream_processors.resources import Resources


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The facts of one run, as plain data that can cross to another process."""

    job_id: str
    name: str
    queue: str
    redrive: int
    seq: int
    attempt: int
    enqueued_ms: int
    deadline_ms: int
    """Epoch milliseconds by this machine's clock."""
    fencing_token: int
    correlation_id: str | None
    source: tuple[str, int, int]
    """topic, partition, offset of this delivery."""
    secret: frozenset[tuple[str, str]] = frozenset()
    """(record, field) of what any schema of its type marks."""
    scheduled_ms: int | None = None
    """The tick of the schedule that it is the job of."""
    headers: tuple[tuple[str, bytes], ...] = ()
    """Of its record, but for our own."""

    def fields(self) -> dict[str, Any]:
        """The fields that name the job in a line about it."""
        return named_by(
            self.job_id,
            self.name,
            self.queue,
            self.attempt,
            self.redrive,
            self.source,
            self.correlation_id,
        )

    def secret_fields(self) -> frozenset[str]:
        """Names of the fields that the job's type marks as secret."""
        return frozenset(field for _, field in self.secret)


def named_by(  # noqa: PLR0917 - in the order of the line
    job_id: str,
    name: str,
    queue: str,
    attempt: int,
    redrive: int,
    source: tuple[str, int, int],
    given: str | None,
) -> dict[str, Any]:
    """The fields of a line about a job; its type is left out where it is not known.

    A job that was given no correlation id goes by its own id, as do the children it enqueues.
    """
    topic, partition, offset = source
    fields = {
        "job_id": job_id,
        "job": name,
        "queue": queue,
        "attempt": attempt,
        "redrive": redrive,
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "correlation_id": given or job_id,
    }
    return fields if name else {key: value for key, value in fields.items() if key != "job"}


class ChildJob(Protocol):
    """What `Context.enqueue` needs of a job type: the product's `Job` is one."""

    def enqueue_child(self, parent: Context, args: Any, options: dict[str, Any]) -> Any:  # noqa: ANN401 - generic in the job
        """Enqueue with an id derived from the parent; blocks until acknowledged."""

    def aenqueue_child(
        self,
        parent: Context,
        args: Any,  # noqa: ANN401 - generic in the job type
        options: dict[str, Any],
    ) -> Awaitable[Any]:
        """The same from a running event loop."""


class Context:
    """The run a handler is in. Do not keep it beyond the handler's return."""

    __slots__ = ("_cancelled", "_facts", "_lock", "_logger", "_next", "_returned", "resources")

    def __init__(self, facts: RunFacts, resources: Resources = NO_RESOURCES) -> None:
        self._facts = facts
        self.resources = resources
        """What the lifespans of this process yielded, by class: `ctx.resources[Pool]`."""
        self._cancelled = False
        self._logger: logging.LoggerAdapter[logging.Logger] | None = None
        self._lock = threading.Lock()
        """Held while numbers of children are drawn: handlers may enqueue from threads."""
        self._next: dict[tuple[str, str], int] = {}
        self._returned: dict[tuple[str, str, bytes], list[int]] = {}

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self._facts.job_id

    @property
    def name(self) -> str:
        """The job type's name."""
        return self._facts.name

    @property
    def queue(self) -> str:
        """The queue it was taken from."""
        return self._facts.queue

    @property
    def redrive(self) -> int:
        """How often the job was redriven from the dead letters."""
        return self._facts.redrive

    @property
    def seq(self) -> int:
        """How often this redrive of the job was replaced by a copy (retries and snoozes)."""
        return self._facts.seq

    @property
    def attempt(self) -> int:
        """Which attempt it is, counted from 1 in each redrive."""
        return self._facts.attempt

    @property
    def enqueued_at(self) -> datetime:
        """When the producer enqueued it, by the producer's clock."""
        return datetime.fromtimestamp(self._facts.enqueued_ms / 1000, UTC)

    @property
    def scheduled_for(self) -> datetime | None:
        """The tick whose job it is, by the schedule and not by any clock; None for other jobs.

        In UTC. The same for every attempt and redrive, however late it runs: compute with it, not
        with the time of day. Of a run that an operator asked for, when that was.
        """
        at_ms = self._facts.scheduled_ms
        return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)

    @property
    def deadline(self) -> datetime:
        """When this run's time limit passes."""
        return datetime.fromtimestamp(self._facts.deadline_ms / 1000, UTC)

    @property
    def correlation_id(self) -> str | None:
        """What the producer gave to tie records of one request together."""
        return self._facts.correlation_id

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt and redrive of this job: hand it to the outside world."""
        return self._facts.job_id

    @property
    def fencing_token(self) -> int:
        """Grows with each owner of the partition: a store can refuse a smaller one than it saw.

        It orders owners, not runs: two runs under one owner share it.
        """
        return self._facts.fencing_token

    @property
    def source(self) -> tuple[str, int, int]:
        """Topic, partition and offset of this delivery. The partition is what a token is of."""
        return self._facts.source

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that came with the job, such as those that middleware gave it.

        Without jobstream's own. Bytes that are no UTF-8 are replaced.
        """
        return {name: raw.decode("utf-8", "replace") for name, raw in self._facts.headers}

    @property
    def is_cancelled(self) -> bool:
        """Whether this run should stop: its time limit passed, or it was cancelled.

        Also when the worker leaves.
        """
        return self._cancelled

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A stdlib logger whose records carry the job's id, name, attempt and place."""
        if self._logger is None:
            named = logging.getLogger(f"jobs.{self._facts.name}")
            self._logger = logging.LoggerAdapter(named, self._facts.fields())
        return self._logger

    def enqueue(self, job: ChildJob, args: Any, **options: Any) -> Any:  # noqa: ANN401
        """Enqueue a child job; blocks until acknowledged, so before this job can be settled.

        Its id is derived from this job, the child's type, `child_name` (or what the args say) and
        how often that was used in this run, so a repeated run of the parent repeats no child, nor
        does one by the next version of the code. Give a `child_name` where args hold what is made
        anew in each run, such as a time. An enqueue that raised is not counted: the same one again
        is the same child, so repeating it after an EnqueueTimeout is safe. Other
        options and errors as in `Job.enqueue`.
        """
        return job.enqueue_child(self, args, options)

    def aenqueue(self, job: ChildJob, args: Any, **options: Any) -> Awaitable[Any]:  # noqa: ANN401
        """As `enqueue`, from a coroutine. Await it: an unawaited child may not be written."""
        return job.aenqueue_child(self, args, options)

    @contextmanager
    def occurrence(self, job_type: str, name: str, args: bytes) -> Iterator[int]:
        """How often (type, name) was enqueued in this run before; the block enqueues it.

        A block that raises gives its number to the next one with the same args. What became of
        that child may be unknown, and a repeat must be the same child.
        """
        child = (job_type, name)
        with self._lock:
            if returned := self._returned.get((*child, args)):
                returned.sort()
                number = returned.pop(0)
            else:
                number = self._next.get(child, 0)
                self._next[child] = number + 1
        try:
            yield number
        except BaseException:  # also of a task that was cancelled while it waited
            with self._lock:
                self._returned.setdefault((*child, args), []).append(number)
            raise

    def cancel(self) -> None:
        """Ask the run to stop; called by the worker."""
        self._cancelled = True
