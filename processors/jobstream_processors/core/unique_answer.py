"""What a job that asks for a unique key gets, by all that is known of the key. Pure.

The first in the log holds the key. Whether a later one was enqueued while it was held is told by
offsets: a job gives its key up together with the end of the log at that moment, and no clock
decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jobstream_processors.core.key_facts import KeyFacts
    from jobstream_processors.core.unique_mode import Mode


class Asks(NamedTuple):
    """A job that asks for a key."""

    job_id: str
    mode: Mode
    place: int
    """The offset at which it asked first."""
    appended_ms: int
    """Broker time of its first append."""
    expires_ms: int = 0
    """Broker time at which its hold ends, if it gets one."""
    again: bool = False
    """It asked before, and left for the ladder since."""
    began: bool = False
    """A handler of it began in an earlier delivery."""
    redriven: bool = False
    """It was brought back from the dead letters just now."""


class Takes(NamedTuple):
    """It has the key, and may run."""


class Free(NamedTuple):
    """It may run without the key: it gave that up, or its hold expired."""


class Duplicate(NamedTuple):
    """It ends, and this job runs or ran instead."""

    of: str


class Refused(NamedTuple):
    """It was redriven while this job holds the key: back to the dead letters."""

    holder: str


class Waits(NamedTuple):
    """It waits for this job to give the key up."""

    holder: str


class Later(NamedTuple):
    """It waits for its burst to be over."""

    due_ms: int
    first_ms: int
    """When the first of its burst was enqueued."""


Answer = Takes | Free | Duplicate | Refused | Waits | Later
TAKES = Takes()
FREE = Free()


def answer(holds: KeyFacts, asks: Asks, holder: str | None, now_ms: int) -> Answer:
    """What `asks` gets; `holder` is the id of the job that has the key now, if one has.

    A repeated question has the same answer while nothing else happened to the key.
    """
    mode, released = asks.mode, holds.released
    if holder == asks.job_id:
        return TAKES
    if mode.until_start and (
        asks.began or (released.job_id == asks.job_id and released.place == asks.place)
    ):
        return FREE
    if mode.latest:
        return _latest(holds, asks, holder, now_ms)
    if holder is not None and (asks.again or asks.began):
        return FREE
    if asks.place < released.end and not asks.again and released.job_id != asks.job_id:
        return _loses(asks, released.job_id)  # The job that has the key since came later.
    return TAKES if holder is None else _loses(asks, holder)


def _latest(holds: KeyFacts, asks: Asks, holder: str | None, now_ms: int) -> Answer:
    if (newer := holds.newer(asks.place, asks.job_id)) is not None:
        return _loses(asks, newer)
    if asks.redriven and (holder is not None or holds.bursts):
        # Its arguments are old ones: it must not pass one that waits with newer.
        return Refused(holder or holds.waits.job_id)
    if asks.mode.wait_ms and not asks.redriven and not asks.began:
        first_ms = asks.appended_ms
        if holds.bursts and holds.waits.first_ms:
            first_ms = holds.waits.first_ms
        due_ms = min(asks.appended_ms + asks.mode.wait_ms, first_ms + asks.mode.wait_max_ms)
        if now_ms < due_ms:
            return Later(due_ms, first_ms)
    return Waits(holder) if holder is not None else TAKES


def _loses(asks: Asks, to: str) -> Duplicate | Refused:
    return Refused(to) if asks.redriven else Duplicate(to)
