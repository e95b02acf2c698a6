"""Whether the last redrive of a cause failed, as far as the dead letters tell. Pure.

No store is kept for it. A letter of a job with redrive n + 1 and the fingerprint of its letter n
says that the redrive ended in the same way; a tombstone that says `redriven` and is followed by
no such letter says that it did not, or has not ended yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from jobstream_processors.core.closings import REDRIVEN

if TYPE_CHECKING:
    from jobstream.operate.open_letters import Letter
    from jobstream_processors.core.closings import Closing
    from jobstream_processors.ports import TopicPartition


@dataclass(frozen=True, slots=True)
class FailedTrial:
    """The newest redrive of a cause that ended in a letter of the same cause."""

    job_id: str
    redrive: int
    died_ms: int


class _Redriven(NamedTuple):
    redrive: int
    fingerprint: str
    at_ms: int
    surely: bool


class Trials:
    """Takes the letters and tombstones of each partition in their order."""

    def __init__(self) -> None:
        self._redriven: dict[tuple[TopicPartition, str], _Redriven] = {}
        """By job: its letter was closed, and no later one has come."""
        self._again: dict[tuple[TopicPartition, str], int] = {}
        """By job that was redriven and died again: the redrive of its newest letter."""
        self._failed: dict[str, FailedTrial] = {}

    def died(self, letter: Letter, before: Letter | None) -> None:
        """Take a letter; `before` is the one of the redrive before, if that is open."""
        place = letter.place[:2], letter.id
        closed = self._redriven.pop(place, None)
        if not letter.redrive:
            return
        self._again[place] = letter.redrive
        mark = before.fingerprint if before is not None else ""
        if closed is not None and closed.redrive + 1 == letter.redrive:
            mark = closed.fingerprint
        # Where nothing is left of the one before, it is held for the same: better tried again.
        if mark not in {"", letter.fingerprint}:
            return
        known = self._failed.get(letter.fingerprint)
        if known is None or letter.died_ms >= known.died_ms:
            failed = FailedTrial(letter.id, letter.redrive, letter.died_ms)
            self._failed[letter.fingerprint] = failed

    def closed(
        self,
        place: TopicPartition,
        name: tuple[str, int],
        letter: Letter | None,
        closing: Closing | None,
        at_ms: int,
    ) -> None:
        """Take the tombstone of the letter `name`, (id, redrive), if that is known still."""
        mark = closing.fingerprint if closing is not None else ""
        mark = mark or (letter.fingerprint if letter is not None else "")
        if self._again.get((place, name[0]), 0) > name[1]:
            return  # Its job was back and dead again before the tombstone was sent.
        if closing is None or closing.how == REDRIVEN:
            gone = _Redriven(name[1], mark, at_ms, closing is not None)
            self._redriven[place, name[0]] = gone

    def failed(self, fingerprint: str) -> FailedTrial | None:
        """The last redrive of this cause, if it failed; None if a later one did not."""
        found = self._failed.get(fingerprint)
        if found is None:
            return None
        later = any(
            each.surely and each.fingerprint == fingerprint and each.at_ms > found.died_ms
            for each in self._redriven.values()
        )
        return None if later else found
