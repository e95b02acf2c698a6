"""Entries of the control topic in words. Pure: who shows them says how times read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jobstream_processors.core.orders import (
    BREAKER_OPENED,
    CANCEL,
    DRAIN,
    OPEN,
    PAUSE_QUEUE,
    PAUSE_TYPE,
    QUIET,
    SET_LIMIT,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.control_listing import ControlEntry

WHAT = {
    PAUSE_QUEUE: "queue {} is paused",
    PAUSE_TYPE: "job type {} is paused",
    CANCEL: "the order to cancel job {} is in force",
    QUIET: "workers {} take no new jobs",
    DRAIN: "workers {} drain and leave; the order holds",
    BREAKER_OPENED: "breaker {} was found failing, and is open",
}
HELD = {0: "breaker {} is held closed", 1: "breaker {} is held open"}


class TimeWords(NamedTuple):
    """How moments and lengths of time read."""

    moment: Callable[[int], str]
    """Of epoch milliseconds."""
    span: Callable[[float], str]
    """Of seconds."""


def in_force(entry: ControlEntry, times: TimeWords) -> str:
    """The entry: its subject, its end, its author and its reason."""
    until = times.moment(round(entry.expires_at.timestamp() * 1_000))
    if entry.kind == SET_LIMIT:
        numbers = ", ".join(f"{name} {number}" for name, number in entry.limits.items())
        return f"limit {entry.subject} has {numbers} until {until}, {author(entry)}"
    what = WHAT.get(entry.kind) or HELD[entry.limits.get(OPEN, 0)]
    return f"{what.format(entry.subject)} until {until}, {author(entry)}"


def author(entry: ControlEntry) -> str:
    """By whom, and why."""
    return f"by {entry.who}: {entry.why}" if entry.why else f"by {entry.who}"
