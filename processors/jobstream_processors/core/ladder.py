"""The delay ladder: which rung a waiting job stands on, when it may leave, where it goes next.

A rung is a topic with one fixed delay, first in first out by append time, so only the head of each
partition matters. Every time here is the broker's, in epoch milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from jobstream_processors.core.duration import to_ms

RUNGS: tuple[str, ...] = ("0s", "5s", "30s", "2m", "10m", "1h", "6h", "1d")
RUNG_MS: dict[str, int] = {name: to_ms(name) for name in RUNGS}
_DESCENDING = tuple(sorted(((ms, name) for name, ms in RUNG_MS.items()), reverse=True))
EXACT = "0s"
"""The rung without a delay of its own: read at once, kept in a bounded heap until due."""
EXACT_MS_MAX = RUNG_MS["5s"]
"""The longest wait that belongs there."""


EARLY_MS = 60_000
"""A job may be fetched from the ladder if it would wait for longer: to end as cancelled on its
queue, which sends it back otherwise. Far more than the clocks of two brokers are apart."""


def rung_for(remaining_ms: int) -> str:
    """The largest rung not longer than what remains; "0s" below five seconds and when overdue."""
    for ms, name in _DESCENDING:
        if ms <= remaining_ms:
            return name
    return EXACT


@dataclass(frozen=True, slots=True)
class Wait:
    """A record standing on a rung: when it was appended and when the job is due."""

    rung: str
    appended_ms: int
    due_ms: int

    @property
    def leaves_ms(self) -> int:
        """The earliest broker time at which the record may hop; never before append + delay."""
        if self.rung == EXACT:
            # A longer wait (of a `run_at`, or a stranger's) leaves at once for the rung where it
            # belongs: here it would keep others out of memory.
            longer = self.due_ms - self.appended_ms > EXACT_MS_MAX
            return self.appended_ms if longer else max(self.due_ms, self.appended_ms)
        return self.appended_ms + RUNG_MS[self.rung]

    @property
    def late_from_ms(self) -> int:
        """From when on it is late that the record stands here.

        Due means late for the job; but a record that may hop and does not is late as well, long
        before the job is due: no delayer carries it.
        """
        return min(self.leaves_ms, max(self.due_ms, self.appended_ms))


def wait_on(rung: str, appended_ms: int, due_ms: int | None, delay_ms: int | None) -> Wait:
    """How a record appended to a rung waits there, by what its headers say."""
    due = due_ms if due_ms is not None else appended_ms + (delay_ms or 0)
    # A wait that is over leaves at once, whatever its rung.
    return Wait(rung if due > appended_ms else EXACT, appended_ms, due)


def next_stop(wait: Wait, now_ms: int) -> str | None:
    """Where a record that may leave at `now_ms` goes: a rung's name, or None for the queue."""
    remaining = wait.due_ms - now_ms
    return rung_for(remaining) if remaining > 0 else None


def rung_partition(destination: int, rung_partitions: int) -> int:
    """The rung's partition for a job that returns to queue partition `destination`."""
    return destination % rung_partitions
