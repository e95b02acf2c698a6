"""What a job type says about jobs that are the same: values, on which the gate `unique` goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from jobstream_processors.core.duration import Duration, to_ms
from jobstream_processors.core.field_names import Fields, field_names
from jobstream_processors.core.unique_mode import (
    KEEP_FIRST,
    KEEP_LATEST,
    UNTIL_DONE,
    UNTIL_START,
    Mode,
    told,
    told_within,
)
from jobstream_processors.errors import InvalidOption

EXPIRES_MS = 3_600_000
"""The longest hold where the type says nothing; the dedup window, if that is shorter."""
BURST_WAITS = 12
"""A burst waits so many times `wait` at most where the type says nothing: 5 s make a minute."""


class UniqueWanted(NamedTuple):
    """How jobs of a type want their unique key, checked."""

    fields: tuple[str, ...]
    within_ms: int
    """The length of the windows in which an id is made of the key; 0: by the gate instead."""
    prefix: str
    """What the text of a key begins with, to say that."""
    waits: bool
    """Whether a job may wait for its key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique:
    """Jobs of a type that agree in the fields `by` are one: the first in the log holds the key.

    `until="done"`: it holds it until it is done, dead, cancelled or expired, over retries, snoozes
    and waits; `until="start"`: until its first run begins. A later job ends as `duplicate` and
    names the holder; with `on_conflict="keep_latest"` it waits instead, as the only one: the one
    that waited before ends as a duplicate of it, so the newest arguments run afterwards. `expires`
    ends a hold that nothing else did, counted from the job's enqueue (1 h, or the dedup window if
    that is shorter); it should be longer than a job takes with all its retries.

    `within="10m"` is another kind, and goes with none of the other options: in each window of that
    length all enqueues of a key return the same job, however that ends.

    Raises InvalidOption where a type is declared with it.
    """

    by: Fields
    until: Literal["done", "start"] = "done"
    on_conflict: Literal["keep_first", "keep_latest"] = "keep_first"
    expires: Duration | None = None
    within: Duration | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that make the key; raises InvalidOption."""
        return field_names("by", self.by)

    def wanted(self, window_ms: int) -> UniqueWanted:
        """The rule checked against the queue's dedup window; raises InvalidOption."""
        if self.until not in (UNTIL_DONE, UNTIL_START):  # It may have no hash.
            message = f"unique until={self.until!r}; choose 'done' or 'start'"
            raise InvalidOption(message)
        if self.on_conflict not in (KEEP_FIRST, KEEP_LATEST):
            message = (
                f"unique on_conflict={self.on_conflict!r}; choose {KEEP_FIRST!r} or {KEEP_LATEST!r}"
            )
            raise InvalidOption(message)
        if self.within is not None:
            if (self.until, self.on_conflict, self.expires) != (UNTIL_DONE, KEEP_FIRST, None):
                message = (
                    f"unique within={self.within!r} goes with no until, on_conflict or expires: "
                    "the first of a window wins, however it ends; leave out the one or the others"
                )
                raise InvalidOption(message)
            within_ms = _bounded("unique within", self.within, window_ms)
            return UniqueWanted(self.fields, within_ms, told_within(""), waits=False)
        expires_ms = min(EXPIRES_MS, window_ms)
        if self.expires is not None:
            expires_ms = _bounded("unique expires", self.expires, window_ms)
        latest = self.on_conflict == KEEP_LATEST
        mode = Mode(latest, self.until == UNTIL_START, expires_ms)
        return UniqueWanted(self.fields, 0, told(mode, ""), waits=latest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Debounce:
    """Of a burst of jobs that agree in the fields `by`, the newest runs when the burst is over.

    Each job waits for `wait`; a newer one takes its place and begins to wait anew, until
    `wait_max` after the first of the burst (12 times `wait` if not given). The others end as
    `duplicate` of the newest. While one runs, the newest of the next burst waits for it. Raises
    InvalidOption where a type is declared with it.
    """

    by: Fields
    wait: Duration
    wait_max: Duration | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that make the key; raises InvalidOption."""
        return field_names("by", self.by)

    def wanted(self, window_ms: int) -> UniqueWanted:
        """The rule checked against the queue's dedup window; raises InvalidOption."""
        wait_ms = _bounded("debounce wait", self.wait, window_ms)
        wait_max_ms = min(wait_ms * BURST_WAITS, window_ms)
        if self.wait_max is not None:
            wait_max_ms = _bounded("debounce wait_max", self.wait_max, window_ms)
        if wait_max_ms < wait_ms:
            message = (
                f"debounce wait_max={self.wait_max!r} is less than wait={self.wait!r}: no burst "
                "could wait so long; raise wait_max"
            )
            raise InvalidOption(message)
        expires_ms = min(EXPIRES_MS + wait_max_ms, window_ms)
        mode = Mode(True, False, expires_ms, wait_ms, wait_max_ms)  # noqa: FBT003
        return UniqueWanted(self.fields, 0, told(mode, ""), waits=True)


def _bounded(name: str, given: Duration, window_ms: int) -> int:
    """The duration, if rows live so long; raises InvalidOption."""
    found = to_ms(given, name=name, least_ms=1)
    if found > window_ms:
        message = (
            f"{name}={given!r} is longer than the queue's dedup window of {window_ms // 1000} s, "
            "after which rows are gone; shorten it, or raise dedup= of the queue"
        )
        raise InvalidOption(message)
    return found
