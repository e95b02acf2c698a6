"""Errors of the worker side and who acts on them.

ProcessorError
├── BadHeaders           a record's headers are wrong: it ends as a dead letter
├── InvalidOption        refused where it is written: at registration or enqueue
├── PublishFailed        the broker did not acknowledge: the offset stays unfinished, tried again
├── LifespanFailed       what handlers share did not start, or ended: the process leaves
├── DidNotYield          a middleware let no handler run: the run fails
├── NoResource           a handler asked for a resource that no lifespan yields: its run fails
├── ScheduleBroken       a schedule can't fire here: it stays, is shown, and is tried again
├── OffsetOutOfRange     the place to go on from is not in the log: stops that partition alone
├── TableUnavailable     a dedup shard can't be opened or written: the worker drains and ends
│   └── NoLongerWanted   its restore was given up, since the partition is not ours any more
├── WorkerStopped        this process must publish nothing more: it leaves
└── ReplaceProcess       handlers hold what only a new process gets back: it is started anew
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class ProcessorError(Exception):
    """Base of every error raised by the worker side."""


class BadHeaders(ProcessorError):
    """A `js-` header does not hold what it must; the message names it."""


class InvalidOption(ProcessorError, ValueError):
    """An option, name or value was refused; the message names it and the fix."""


class PublishFailed(ProcessorError):
    """Some records were not acknowledged; `failures` maps their index to the reason.

    A record named here may or may not be in the log. Every record not named is acknowledged.
    """

    def __init__(self, failures: Mapping[int, PublishFailure]) -> None:
        first = next(iter(failures.values()))
        super().__init__(
            f"{len(failures)} records were not acknowledged; the first: {first.reason}"
        )
        self.failures = failures


class PublishFailure:
    """Why one record was not acknowledged. `too_large`: no repeat can help.

    `code` is Kafka's name for the error, "" where the client found none.
    """

    __slots__ = ("code", "reason", "too_large")

    def __init__(self, reason: str, *, code: str = "", too_large: bool = False) -> None:
        self.reason = reason
        self.code = code
        self.too_large = too_large

    def __repr__(self) -> str:
        return f"PublishFailure({self.reason!r}, {self.code!r}, too_large={self.too_large})"


class LifespanFailed(ProcessorError):
    """A lifespan of the app did not start, or ended too early; the message names it.

    Stops a worker, before it takes a partition if it was at the start. A child process that can't
    start one begins no job, and one in which one ends leaves after the job that it runs.
    """


class DidNotYield(ProcessorError):
    """A middleware ended without a `yield`, so the handler did not run; the message names it."""


class NoResource(ProcessorError, LookupError):
    """`ctx.resources[...]` was asked for a class that no lifespan yields, or several do."""


class ScheduleBroken(ProcessorError):
    """A schedule can't fire: `kind` says why in a word, the message in a sentence."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class OffsetOutOfRange(ProcessorError):
    """The recorded watermark is not in the log any more, or not yet: going on would skip jobs."""


class TableUnavailable(ProcessorError):
    """The dedup shard of a partition could not be opened, restored or written."""


class NoLongerWanted(TableUnavailable):
    """The partition was given back, or the worker is leaving, while its shard was restored."""


class WorkerStopped(ProcessorError):
    """The process slept past its session, or was asked to stop; it publishes nothing more."""


class ReplaceProcess(ProcessorError):
    """A new process is due.

    Handlers beyond their limit hold too many slots, or the event loop; or the Kafka client of this
    one can't find its brokers any more.
    """
