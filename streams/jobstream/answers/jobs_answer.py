"""What is asked and answered about jobs by filter, whatever the source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from jobstream.answers.as_of import AsOf


@dataclass(frozen=True, slots=True)
class JobsWanted:
    """Which jobs are meant; an empty field is met by all."""

    states: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    """Job types; `*` stands for any text."""
    queue: str | None = None
    key: str | None = None
    """The order key."""
    since: datetime | None = None
    """Jobs of this moment or later."""
    text: str | None = None
    """A text in the args, the id, a key or the error. From the log, in the id and error alone."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job at a glance."""

    id: str
    type: str
    """Empty where nothing tells."""
    queue: str
    state: str
    at: datetime
    """When the record was appended that tells the state; of one that runs, when it began."""
    attempt: int
    key: str | None
    due_at: datetime | None
    ahead: int | None
    """Records of its partition that may have to be finished before it; by the log alone."""
    waits: str
    """What it waits for on the ladder, if not for its time alone."""
    error: str
    reason: str
    """Why it ended, if not by being done."""
    letter_closed: bool


@dataclass(frozen=True, slots=True)
class JobsAnswer:
    """One page of jobs."""

    as_of: AsOf
    jobs: tuple[JobRow, ...]
    after: str
    """Give it back to get the next page; empty at the end."""
    counts: Mapping[str, int]
    """State → how many jobs meet the filter, but for its states."""
    since: datetime | None
    """What happened before was not looked at; None: the source was asked for all it keeps."""
    older: int
    """Records before that moment that may still wait."""
    note: str
    """What this source can't tell; empty if nothing."""
