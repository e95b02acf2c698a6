"""What one record changes in the tables, as plain values. `fold.py` makes them of records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from jobstream.views.facts import Facts


class Where(NamedTuple):
    """A partition that is folded."""

    topic: str
    partition: int
    topic_id: str
    """Of this incarnation: a topic that is made anew has other records under the same offsets."""
    kind: str
    """`queue`, `rung`, `dlq`, `dedup`, `control`, `schedules` or `offsets`."""
    queue: str = ""
    rung: str = ""


class HistoryLine(NamedTuple):
    """A line of a job's history, never overwritten."""

    topic_id: str
    topic: str
    partition: int
    offset: int
    at_ms: int
    what: str
    queue: str
    detail: str
    """JSON, as `jobstream job show` tells it."""
    traceback: str = ""


class JobTold(NamedTuple):
    """A record told of a job."""

    job_id: str
    facts: Facts
    entry: HistoryLine | None
    """None for a first delivery and a plain end, which the job's row tells by itself."""
    args: str | None = None
    """JSON, secret fields masked; None: this record has none, or can't be read."""
    args_cut: bool = False
    beat: Beat | None = None


class Beat(NamedTuple):
    """What a row counts for in the statistics of its minute."""

    job_type: str
    queue: str
    at_ms: int
    outcome: str
    """`done`, `failed` or `ended`."""


class LetterTold(NamedTuple):
    """A dead letter is open from now on, or closed: `row` is None."""

    topic: str
    partition: int
    key: str
    offset: int
    row: dict[str, Any] | None


class EntryTold(NamedTuple):
    """The newest record under a key of a small compacted topic; `value` is None: it was lifted."""

    kind: str
    partition: int
    key: bytes
    offset: int
    at_ms: int
    value: bytes | None


class ActTold(NamedTuple):
    """An operator's act, for the audit."""

    topic_id: str
    topic: str
    partition: int
    offset: int
    at_ms: int
    kind: str
    subject: str
    act: str
    """`set` or `lifted`."""
    who: str
    why: str
    until_ms: int | None


class MarkTold(NamedTuple):
    """How far a group has finished a partition."""

    group: str
    topic: str
    topic_id: str
    partition: int
    position: int
    at_ms: int
    is_reset: bool


class Unread(NamedTuple):
    """A record that can't be read, at least in part."""

    topic: str
    partition: int
    offset: int
    at_ms: int
    reason: str


Change: TypeAlias = JobTold | LetterTold | EntryTold | ActTold | MarkTold | Unread
