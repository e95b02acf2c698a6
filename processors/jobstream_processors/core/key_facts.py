"""What the dedup table knows of one unique key: who held it, who gave it up, who waits for it.

The merge is commutative, associative and idempotent, as that of `core/known.py`. Facts rank by the
place of a job: the offset at which it first asked for the key. A job that takes a key stands behind
every job that had it before, so places of holders only grow.
"""

from __future__ import annotations

from typing import NamedTuple

HELD = "held"
"""A job leaves for the ladder and keeps the key."""
RELEASED = "released"
"""A job gave the key up: it ended, or it began and needs it only until then."""
WAITS = "waits"
"""A job leaves for the ladder and is the newest that waits for the key."""
ID_BYTES_MAX = 1_000
"""Of a job's id in a row; ours are far shorter."""
_PARTS = 4


class HeldBy(NamedTuple):
    """The job that took the key, and the next delivery of it that is to come."""

    place: int = -1
    redrive: int = 0
    seq: int = 0
    job_id: str = ""
    expires_ms: int = 0
    """Broker time from which on it holds the key no more, whatever becomes of it."""


class GivenUp(NamedTuple):
    """The job that gave the key up last, by which delivery, and how far the log went then."""

    place: int = -1
    redrive: int = 0
    seq: int = 0
    end: int = 0
    """The end of the queue's partition: jobs below it were enqueued while the key was held."""
    job_id: str = ""


class Newest(NamedTuple):
    """The newest job that waited for the key."""

    place: int = -1
    job_id: str = ""
    first_ms: int = 0
    """Broker time at which the first of its burst was enqueued; 0 without a debounce."""


class KeyFacts(NamedTuple):
    """Every fact about one unique key, of one incarnation of the queue's topic."""

    held: HeldBy = HeldBy()
    released: GivenUp = GivenUp()
    waits: Newest = Newest()

    def merge(self, other: KeyFacts) -> KeyFacts:
        """Everything either side knows."""
        return KeyFacts(
            max(self.held, other.held),
            max(self.released, other.released),
            max(self.waits, other.waits),
        )

    def holder(self, now_ms: int) -> HeldBy | None:
        """Who holds the key by these facts; it may have ended all the same, as its own rows say."""
        held = self.held
        if held.place < 0 or held[:3] <= self.released[:3] or held.expires_ms <= now_ms:
            return None
        return held

    def newer(self, place: int, job_id: str) -> str | None:
        """The newest job behind `place` that took the key or waits for it, if any did."""
        held, released, waits = self.held, self.released, self.waits
        found, newest = None, place
        for other, other_id in (
            (held.place, held.job_id),
            (released.place, released.job_id),
            (waits.place, waits.job_id),
        ):
            if other > newest and other_id != job_id:
                found, newest = other_id, other
        return found

    @property
    def bursts(self) -> bool:
        """Whether the newest that waited has not had the key yet."""
        return self.waits.place > max(self.held.place, self.released.place)


NO_FACTS = KeyFacts()


class KeyRow(NamedTuple):
    """One row of a unique key, as far as its fields hold no name that other rows have, too."""

    state: str
    name: str
    """The key, as tables know it."""
    job_id: str
    place: int
    redrive: int = 0
    seq: int = 0
    expires_ms: int = 0
    end: int = 0
    first_ms: int = 0

    @property
    def detail(self) -> str:
        """What the row has no field for: the row's detail."""
        return f"{self.place}:{self.end}:{self.first_ms}:{self.name}"

    def fact(self) -> KeyFacts:
        """What it lets the table know of its key."""
        if self.state == HELD:
            held = HeldBy(self.place, self.redrive, self.seq, self.job_id, self.expires_ms)
            return KeyFacts(held=held)
        if self.state == RELEASED:
            gone = GivenUp(self.place, self.redrive, self.seq, self.end, self.job_id)
            return KeyFacts(released=gone)
        if self.state == WAITS:
            return KeyFacts(waits=Newest(self.place, self.job_id, self.first_ms))
        return NO_FACTS  # Of a newer version.


def facts_of_row(
    state: str, job_id: str, numbers: tuple[int, int], due_ms: int, detail: str
) -> tuple[str, KeyFacts] | None:
    """(key, what the row tells of it); None for a row that no version of ours wrote.

    `numbers` are its redrive and seq.
    """
    parts = detail.split(":", _PARTS - 1)
    if len(parts) != _PARTS or not all(_is_number(part) for part in parts[:-1]):
        return None
    if len(job_id.encode()) > ID_BYTES_MAX:
        return None
    place, end, first_ms = map(int, parts[:-1])
    name = parts[-1]
    row = KeyRow(state, name, job_id, place, *numbers, due_ms, end, first_ms)
    return name, row.fact()


def _is_number(text: str) -> bool:
    # Few digits of ASCII are all we ever write there.
    return text.isascii() and text.isdigit() and len(text) <= 15  # noqa: PLR2004 - as documented
