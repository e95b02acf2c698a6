"""The part that one delivery has in the unique key of its job, and the rows that tell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.key_facts import HELD, RELEASED, WAITS, HeldBy, KeyRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream_processors.core.unique_mode import Mode


class UniquePart:
    """Mutable; the gate writes it, and what settles the delivery reads it."""

    __slots__ = (
        "appended_ms",
        "began",
        "behind",
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
        self.behind: HeldBy | None = None
        """The job in flight that it waits for."""
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

    def left(self, job_id: str, redrive: int, seq: int) -> Sequence[KeyRow]:
        """The rows to write before the job goes to the ladder as (redrive, seq).

        One that waits names the holder, too. Else an heir that reads the holder's record again
        finds nothing but a newer job, for which one that had begun would give way.
        """
        if self.holds and not self.freed:
            me = HeldBy(self.place, redrive, seq, job_id, self.expires_ms)
            return (self._held(me),)
        if not self.stays:
            return ()
        waits = KeyRow(WAITS, self.name, job_id, self.place, redrive, seq, first_ms=self.first_ms)
        return (waits,) if self.behind is None else (self._held(self.behind), waits)

    def _held(self, by: HeldBy) -> KeyRow:
        return KeyRow(
            HELD, self.name, by.job_id, by.place, by.redrive, by.seq, expires_ms=by.expires_ms
        )

    def gave_up(self, job_id: str, redrive: int, seq: int, end: int) -> KeyRow:
        """The row to write before (redrive, seq) ends, or begins; `end` is that of the log."""
        return KeyRow(RELEASED, self.name, job_id, self.place, redrive, seq, end=end)
