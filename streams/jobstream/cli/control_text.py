"""Entries of the control topic in words, for commands that show queues, jobs or entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobstream.cli.output import age, when
from jobstream.cli.printable import one_line
from jobstream.operate.order_words import TimeWords, author, in_force
from jobstream_processors.core.orders import (
    CANCEL,
    HOLD_BREAKER,
    OPEN,
    PAUSE_QUEUE,
    PAUSE_TYPE,
    QUIET,
    SET_LIMIT,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from jobstream.control_listing import ControlEntry
    from jobstream_processors.core.orders import Order

TIMES = TimeWords(when, age)
"""Times as commands print them."""
LIFTED = {
    PAUSE_QUEUE: "queue {} is no longer paused",
    PAUSE_TYPE: "job type {} is no longer paused",
    CANCEL: "the order to cancel job {} is lifted",
    QUIET: "workers {} take jobs again",
    HOLD_BREAKER: "breaker {} is no longer held",
    SET_LIMIT: "limit {} has the numbers of the code again",
}


NOT_HELD = {
    PAUSE_QUEUE: "queue {} was not paused",
    PAUSE_TYPE: "job type {} was not paused",
    CANCEL: "there was no order to cancel job {}",
    QUIET: "workers {} were not told to take no jobs",
    HOLD_BREAKER: "breaker {} was not held",
    SET_LIMIT: "limit {} had the numbers of the code",
}


def holds(entry: ControlEntry) -> str:
    """The entry on one line: its subject, its end, its author and its reason."""
    return one_line(in_force(entry, TIMES))


def kind_of(entry: ControlEntry) -> str:
    """Its kind, and which of two it is, where a kind has two."""
    if entry.kind != HOLD_BREAKER:
        return entry.kind
    return f"{entry.kind} {'open' if entry.limits.get(OPEN) else 'closed'}"


def ended(kind: str, subject: str) -> str:
    """The sentence for an entry that has ended."""
    return one_line(LIFTED[kind].format(subject))


def not_held(kind: str, subject: str) -> str:
    """The sentence where there was no entry to end."""
    return one_line(NOT_HELD[kind].format(subject))


def by(entry: ControlEntry) -> str:
    """By whom, and why."""
    return one_line(author(entry))


def about(
    entries: Iterable[Order], *, queues: Collection[str], job_types: Collection[str], job_id: str
) -> list[ControlEntry]:
    """Those entries that concern one job: itself, its type, the queues it was on."""
    from jobstream.control_listing import shown  # noqa: PLC0415 - not needed for --help

    subjects = {PAUSE_QUEUE: queues, PAUSE_TYPE: job_types, CANCEL: [job_id]}
    return [shown(entry) for entry in entries if entry.subject in subjects.get(entry.kind, ())]


def document(entry: ControlEntry) -> dict[str, Any]:
    """An entry as JSON has it."""
    return {
        "kind": entry.kind,
        "subject": entry.subject,
        "who": entry.who,
        "why": entry.why,
        "at": entry.at.isoformat(timespec="milliseconds"),
        "expires_at": entry.expires_at.isoformat(timespec="milliseconds"),
        **({"limits": dict(entry.limits)} if entry.limits else {}),
    }
