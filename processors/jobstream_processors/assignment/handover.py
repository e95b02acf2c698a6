"""The note beside a committed offset, by which an owner tells the next one how it left.

Text in, text out. Take-over decides which jobs are suspect, the engine when a job may start.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

CLEAN = "clean:"
"""Beginning of the note of an owner that handed over, and did not just vanish."""
NOTE_BYTES_MAX = 3_500
"""Brokers take 4,096 bytes unless they are configured otherwise."""
ENDED_BYTES_MAX = 1_500
_ENDED = re.compile(r"(\d+)\+(\d+)")
_RUN = re.compile(r"(\d+)\+(\d+)!(\d+)")


class Left(NamedTuple):
    """What an owner was not through with when it gave a partition back."""

    ended: Sequence[tuple[int, int]] = ()
    """Ranges [low, high) of offsets whose jobs are done, but whose rows no broker acknowledged."""
    runs: Sequence[tuple[int, int, int]] = ()
    """Ranges [low, high) of offsets whose jobs may still run there, and until when: broker time.

    They may overlap; the latest time counts."""
    before: int = 0
    """All of it lies below this offset."""

    def has_ended(self, offset: int) -> bool:
        """Whether the job there is done, and only its row is missing."""
        at = bisect_right(self.ended, offset, key=itemgetter(0)) - 1
        return at >= 0 and offset < self.ended[at][1]

    def runs_until_ms(self, offset: int) -> int:
        """Broker time until which the job there may still run; 0 if it does not."""
        return max((until for low, high, until in self.runs if low <= offset < high), default=0)


NOTHING_LEFT = Left()


class Handed(NamedTuple):
    """What the last owner's note tells."""

    suspect_before: int
    """The offset below which jobs are suspect still; 0 for none."""
    left: Left


class Lost(NamedTuple):
    """What a lane of this process knew of its partition when it lost it."""

    claim: int
    word: Handed


def clean_note(claim: int, position: int, suspect_before: int, left: Left = NOTHING_LEFT) -> str:
    """`clean:<claim>`, and what is not as usual: `:<suspect before>:<ended>:<runs>`.

    Suspicion outlives an owner that leaves before it is through: else each rebalance would give a
    job that kills workers one more start that is not counted. Ranges are `offset+count` from
    `position` on, those of runs with `!<epoch seconds>`. Where they do not fit, the highest of the
    ended are left out, and runs become one range that ends last: too much waits then, never too
    little.
    """
    before = str(suspect_before) if position < suspect_before else ""
    ended = _joined([f"{low - position}+{high - low}" for low, high in left.ended])
    note = f"{CLEAN}{claim}:{before}:{ended}:{_runs(left.runs, position)}"
    if len(note) > NOTE_BYTES_MAX:
        low, high = left.runs[0][0], max(high for _, high, _ in left.runs)
        widest = (low, high, max(until_ms for *_, until_ms in left.runs))
        note = f"{CLEAN}{claim}:{before}:{ended}:{_runs([widest], position)}"
    return note.rstrip(":")


def handed(note: str, position: int, claim: int | None) -> Handed | None:
    """What `note` beside the offset `position` tells; None if it is not clean.

    It is clean only as the word of the partition's last owner, the one with `claim`. With None,
    any writer counts.
    """
    owner, *rest = note.removeprefix(CLEAN).split(":")
    before, ended, runs, *more = [*rest, "", "", ""]
    is_clean = note.startswith(CLEAN) and owner.isdecimal() and not any(more)
    if not is_clean or (before and not before.isdecimal()):
        return None
    if claim is not None and int(owner) != claim:
        return None
    over = [_ENDED.fullmatch(text) for text in ended.split(",") if text]
    on = [_RUN.fullmatch(text) for text in runs.split(",") if text]
    if not all(over) or not all(on):
        return None
    told = [[int(number) for number in found.groups()] for found in over if found is not None]
    still = [[int(number) for number in found.groups()] for found in on if found is not None]
    left = left_of(
        [(position + low, position + low + count) for low, count in told],
        [(position + low, position + low + n, until * 1_000) for low, n, until in still],
    )
    return Handed(int(before or 0), left)


def left_of(ended: Sequence[tuple[int, int]], runs: Sequence[tuple[int, int, int]]) -> Left:
    """What is left, of ranges in any order; those that have ended do not overlap."""
    before = max([high for _, high, *_ in (*ended, *runs)], default=0)
    return Left(tuple(sorted(ended)), tuple(sorted(runs)), before)


def ranges_of(offsets: Sequence[int]) -> list[tuple[int, int]]:
    """The offsets as ranges [low, high), lowest first, neighbours joined."""
    ranges: list[tuple[int, int]] = []
    for offset in sorted(offsets):
        if ranges and ranges[-1][1] == offset:
            ranges[-1] = (ranges[-1][0], offset + 1)
        else:
            ranges.append((offset, offset + 1))
    return ranges


def _runs(runs: Sequence[tuple[int, int, int]], position: int) -> str:
    # Rounded up: not a moment too early.
    return ",".join(
        f"{low - position}+{high - low}!{-(-until_ms // 1_000)}" for low, high, until_ms in runs
    )


def _joined(texts: Sequence[str]) -> str:
    """As many as fit, from the first on."""
    text = ",".join(texts)
    return text if len(text) <= ENDED_BYTES_MAX else text[: text.rindex(",", 0, ENDED_BYTES_MAX)]
