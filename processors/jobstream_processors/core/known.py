"""What the dedup table knows of one job id: its rows, merged.

The merge is commutative, associative and idempotent, so rows may come in any order, twice, or from
a worker that should have been gone, and never make what is known weaker.
"""

from __future__ import annotations

from typing import NamedTuple

DEAD = "dead"
DONE = "done"
CANCELLED = "cancelled"
EXPIRED = "expired"
DUPLICATE = "duplicate"
TERMINAL = (DONE, DEAD, CANCELLED, EXPIRED, DUPLICATE)
_RANK = {state: rank for rank, state in enumerate(reversed(TERMINAL), start=1)}
DIGITS_MAX = 15
"""Of a number in a row's detail."""
OTHER = "other"
"""A terminal state this version does not know: written by a newer one, an end all the same."""


class Parked(NamedTuple):
    """How a job that is retried in place goes on, under any owner of its partition."""

    attempt: int
    """The next one."""
    due_ms: int
    """Epoch."""
    snoozes: int = 0
    first_failed_ms: int = 0
    """Epoch; 0 while it was only snoozed."""

    @property
    def detail(self) -> str:
        """What its row has no field for: the row's detail."""
        return f"{self.snoozes}:{self.first_failed_ms}"

    @classmethod
    def told(cls, attempt: int, due_ms: int, detail: str) -> Parked:
        """From the fields of its row."""
        snoozes, _, first = detail.partition(":")
        return cls(attempt, due_ms, _number(snoozes), _number(first))


def _number(text: str) -> int:
    # Few digits of ASCII are all we ever write there.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX else 0


class Known(NamedTuple):
    """Every fact about one id that decides a delivery. Compared field by field as ranks."""

    done: bool = False
    ended: tuple[int, int] = (-1, 0)
    """(redrive, rank of its state) of the newest terminal state other than done."""
    moved: tuple[int, int] = (-1, -1)
    """(redrive, seq) of the newest delivery that a copy has replaced."""
    parked: tuple[int, int, int, int, int, int] = (-1, 0, 0, 0, 0, 0)
    """Of a delivery retried in place: (redrive, seq, *Parked)."""
    crashes: tuple[int, int] = (-1, 0)
    """(redrive, counted deaths of its process)."""
    identity: tuple[bytes, bytes] = (b"", b"")
    """(schema fingerprint, digest of the args); empty while no row has it."""

    def merge(self, other: Known) -> Known:
        """Everything either side knows."""
        return Known(
            max(self.done, other.done),
            max(self.ended, other.ended),
            max(self.moved, other.moved),
            max(self.parked, other.parked),
            max(self.crashes, other.crashes),
            max(self.identity, other.identity),
        )

    def absorbs(self, redrive: int, seq: int) -> str | None:
        """The state that drops the delivery (redrive, seq), or None if it is to run."""
        if self.done:
            return DONE
        if redrive <= self.ended[0]:
            return state_of(self.ended[1])
        return "moved" if (redrive, seq) <= self.moved else None

    def crashes_of(self, redrive: int) -> int:
        """Counted deaths in this redrive."""
        return self.crashes[1] if self.crashes[0] == redrive else 0

    def parked_at(self, redrive: int, seq: int) -> Parked | None:
        """How it stands if this delivery is being retried in place; a copy has that in headers."""
        return Parked(*self.parked[2:]) if self.parked[:2] == (redrive, seq) else None


UNKNOWN = Known()
LIMIT_PREFIX = "limit:"
"""Begins the ids of rows that tell of a limit, which no job's id can begin with."""


def state_of(rank: int) -> str:
    """The terminal state of that rank; rank 0 is OTHER."""
    return TERMINAL[len(TERMINAL) - rank] if rank else OTHER


def rank_of(state: str) -> int:
    """The rank of a terminal state; done is the highest, an unknown one has rank 0."""
    return _RANK.get(state, 0)


def of_row(
    kind: str, state: str, numbers: tuple[int, int, int], due_ms: int = 0, detail: str = ""
) -> Known:
    """What one row tells. `numbers` are its redrive, seq and attempt."""
    redrive, seq, attempt = numbers
    if kind == "job":
        return Known(done=True) if state == DONE else Known(ended=(redrive, rank_of(state)))
    if kind == "moved":
        return Known(moved=(redrive, seq))
    if kind == "parked":
        return Known(parked=(redrive, seq, *Parked.told(attempt, due_ms, detail)))
    if kind == "crash":
        return Known(crashes=(redrive, attempt))
    if kind == "limit":
        return Known(ended=(_number(detail), 0), moved=(due_ms, 0))
    return UNKNOWN
