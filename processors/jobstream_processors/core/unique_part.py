"""The part that one delivery has in the unique key of its job, and the rows that tell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.key_facts import HELD, RELEASED, WAITS, KeyRow

if TYPE_CHECKING:
    from jobstream_processors.core.unique_mode import Mode


class UniquePart:
    """Mutable; the gate writes it, and what settles the delivery reads it."""

    __slots__ = (
        "appended_ms",
        "began",
        "expires_ms",
        "first_ms",
        "freed",
        "holds",
        "mode",
        "name",
        "place",
        "waits",
        "waits_from_ms",
    )

    def __init__(self, name: str, mode: Mode, place: int, appended_ms: int, life_ms: int) -> None:
        self.name = name
        """The key, as tables know it."""
        self.mode = mode
        self.place = place
        """The offset at which the job asked first."""
        self.appended_ms = appended_ms
        """Broker time of the job's first append since its last redrive."""
        self.expires_ms = appended_ms + life_ms
        """Broker time at which it holds the key no more."""
        self.holds = False
        self.waits = False
        self.first_ms = 0
        """When the first job of its burst was enqueued; 0 without a debounce."""
        self.waits_from_ms = 0
        self.began = False
        """A handler of this delivery was to begin."""
        self.freed = False
        """It gave the key up as it began."""

    @property
    def stays(self) -> bool:
        """Whether copies of the job have a part in the key."""
        return (self.holds or self.waits) and not self.freed

    def left(self, job_id: str, redrive: int, seq: int) -> KeyRow | None:
        """The row to write before the job goes to the ladder as (redrive, seq)."""
        if not self.stays:
            return None
        state = HELD if self.holds else WAITS
        return KeyRow(
            state,
            self.name,
            job_id,
            self.place,
            redrive,
            seq,
            expires_ms=self.expires_ms if self.holds else 0,
            first_ms=0 if self.holds else self.first_ms,
        )

    def gave_up(self, job_id: str, redrive: int, seq: int, end: int) -> KeyRow:
        """The row to write before (redrive, seq) ends, or begins; `end` is that of the log."""
        return KeyRow(RELEASED, self.name, job_id, self.place, redrive, seq, end=end)
