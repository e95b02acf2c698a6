"""What the read side answers with, as plain frozen values. Times are epoch ms, by the brokers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from jobstream.operate.history import HistoryEntry

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the answers are, and what they may lack."""

    as_of_ms: int
    """All that brokers had appended until then is in the answers; 0: nothing was read yet."""
    behind_records: int
    """Records that were known to wait when the projection looked last."""
    behind_s: float
    """How long ago `as_of_ms` is, by this machine's clock."""
    incomplete: tuple[str, ...] = ()
    """What the answers may lack and why, a sentence each; empty: nothing that is known."""

    def late(self, bound_s: float) -> str:
        """Why these answers are too old to be used; "" if they are not older than that."""
        if not self.as_of_ms:
            return "the views have read nothing yet"
        if self.behind_s > bound_s:
            return (
                f"the views are {self.behind_s:,.0f} s behind, more than {bound_s:g}: "
                "look whether `jobstream views` runs"
            )
        return ""


@dataclass(frozen=True, slots=True)
class StoredJob:
    """One job as it stands."""

    id: str
    """Or `@topic:partition:offset` where it has none to be trusted."""
    job_type: str
    """ "" where nothing tells."""
    queue: str
    state: str
    """One of `jobstream.views.shown.STATES`; `waiting` is queued or running."""
    at_ms: int
    """When the record was appended that tells the state."""
    enqueued_ms: int | None
    """When its first record was appended; None if that is gone."""
    ended_ms: int | None
    took_ms: int | None
    """From the append of the copy that ran to that of its end: waiting in the queue included."""
    topic: str | None
    partition: int | None
    offset: int | None
    """Where its first record stands."""
    key: str | None
    """Its order key."""
    tenant: str | None
    """Its fair key."""
    unique_key: str | None
    parent_id: str | None
    correlation_id: str | None
    source: str
    """The host that enqueued it."""
    attempts: int
    """The next attempt of a job that is still to run, else the last."""
    redrive: int
    rung: str
    due_ms: int | None
    waits: str
    """What it waits for on the ladder, in one word, if not for its time alone."""
    waits_since_ms: int | None
    awaits_code: bool
    error: str
    """The exception's class."""
    message: str
    """Its text, cut to 1,000 bytes."""
    frame: str
    """Where it was raised."""
    fingerprint: str
    """The cause, as in `DeadGroup`; "" where the record names none."""
    reason: str
    """Why it ended, if not by being done."""
    letter_open: bool
    """It is dead, and its letter can be redriven."""
    args: str | None
    """JSON, secret fields masked; None where they can't be read."""
    args_cut: bool
    """Only the first 4,000 characters are here."""


@dataclass(frozen=True, slots=True)
class RowPage(Generic[T]):
    """Some of the rows, and how to go on."""

    rows: tuple[T, ...]
    next: str | None
    """To be given as `after`; None: that was all. A page may have fewer rows than asked for, even
    none, and go on: it looks at a bounded number of candidates."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are."""

    n: int
    exact: bool
    """False: at least so many."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a job, as far as its records tell."""

    redrive: int
    attempt: int
    ended_ms: int
    """When the record was appended that tells how it ended."""
    outcome: str
    """`done`, `failed`, `dead`, or another end."""
    error: str = ""
    message: str = ""
    frame: str = ""
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class JobDetail:
    """One job with what belongs to it."""

    row: StoredJob
    attempts: tuple[Attempt, ...]
    """The oldest first; at most the newest 500."""
    parent: StoredJob | None
    events: RowPage[HistoryEntry]
    """The first of its history, the oldest first; `Views.events` goes on."""
    children: RowPage[StoredJob]
    """The first jobs that its handler enqueued; `Views.children` goes on."""


@dataclass(frozen=True, slots=True)
class Total:
    """How many jobs of a queue and type are in a state."""

    queue: str
    job_type: str
    state: str
    n: int


@dataclass(frozen=True, slots=True)
class TypeStats:
    """How jobs of a type went within a window."""

    job_type: str
    ended: int
    done: int
    failed: int
    """Attempts that failed and are tried again, and jobs that died."""
    dead: int
    rate: float
    """Ends a second."""
    p50_ms: float | None
    p95_ms: float | None
    """From the queue to the end, of jobs that are done; within 9 %."""
    slowest_ms: int | None
    slowest_id: str
    per_minute: tuple[tuple[int, int, int], ...] = ()
    """(minute's start, ends, failures), the oldest first."""


@dataclass(frozen=True, slots=True)
class DeadGroup:
    """Open dead letters of one cause."""

    fingerprint: str
    job_type: str
    error: str
    """The exception's class; "" where there was none."""
    reason: str
    place: str
    """`module:function` that raised it."""
    pattern: str
    """The message with `*` for what differs from job to job."""
    count: int
    first_ms: int
    last_ms: int
    sample_id: str
    """A job of it: the one that died last."""
    releases: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Share per release of the code; "" for letters that name none."""


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A member of one of the app's consumer groups, as the brokers told last."""

    member: str
    group: str
    client: str
    host: str
    partitions: int
    seen_ms: int
    quiet: str = ""
    """By whom and why it takes no jobs; "" if it does."""


@dataclass(frozen=True, slots=True)
class Act:
    """What an operator did."""

    at_ms: int
    kind: str
    """As in the control topic, `schedule_` and what was done to a schedule, or `letter`."""
    subject: str
    act: str
    """`set` or `lifted`; of a letter how it was closed."""
    who: str
    why: str
    until_ms: int | None
    place: tuple[str, int, int]
    """Topic, partition and offset of the record that says it."""


@dataclass(frozen=True, slots=True)
class UnreadCount:
    """Records of a partition that could not be read."""

    topic: str
    partition: int
    n: int
    last_offset: int
    last_ms: int
    last_reason: str


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are meant; an empty field means all. All that are given must hold."""

    states: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    text: str = ""
    """Stands in the args, the id, a key, the error or its message; upper and lower case alike."""
    tenant: str = ""
    key: str = ""
    fingerprint: str = ""
    parent: str = ""
    since_ms: int | None = None
    """By `StoredJob.at_ms`, this moment included."""
    until_ms: int | None = None
    """This moment not."""
