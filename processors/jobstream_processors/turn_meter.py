"""Where the time of a thread that polls goes: its turns, and the take-overs of its partitions.

Each is written by one thread alone. Any thread may read at any time.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobstream_processors.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from jobstream_processors.histogram import Edges

PHASES = ("detect", "ask", "queue", "place", "claim", "restore", "announce", "start", "suspects")
"""Where the time of a take-over goes.

From the last owner's last word to the assignment; asking the brokers what is committed; waiting for
a thread and for the table of an assignment before; finding mirror and log; publishing the claim;
restoring the table; announcing what may begin; the polling thread's turn; then, while other jobs of
the partition run, until the last suspect has ended."""
PARTS = ("poll", "hand", "wait", "commit", "other")
CHANGES = ("assigned", "revoked", "lost")


class TurnMeter:
    """Where the time of a thread that polls goes, and what its group told it."""

    __slots__ = ("_mark", "changes", "group", "phase", "polled_at", "seconds", "since", "turned")

    def __init__(self, group: str) -> None:
        self.group = group
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.changes = dict.fromkeys(CHANGES, 0)
        self.polled_at = 0.0
        """Wall clock, epoch seconds; 0 before the first poll."""
        self.phase = ""
        """What it may be busy with for long: a change of assignment, a publish, or leaving."""
        self._mark = time.perf_counter()
        self.since = self._mark
        """When it became busy with that."""
        self.turned = self._mark

    def spent(self, part: str) -> None:
        """The time since the last call went into `part`: so the parts sum up to wall clock."""
        now = time.perf_counter()
        self.seconds[part] += now - self._mark
        self._mark = self.turned = now

    @contextmanager
    def busy(self, phase: str) -> Iterator[None]:
        """What is done inside may rightly take longer than a turn."""
        before, self.phase = self.phase, phase
        self.since = time.perf_counter()
        try:
            yield
        finally:
            self.turned = time.perf_counter()
            self.phase = before

    def polled(self) -> None:
        """The consumer was polled, and the time went there."""
        self.spent("poll")
        self.polled_at = time.time()


class TakeoverMeter:
    """Counts take-overs by queue and phase.

    The phases up to the first job are the polling thread's to count, the last is the loop's.
    """

    def __init__(self, queues: Iterable[str], edges: Edges) -> None:
        self.seconds = {(q, phase): Histogram(edges.run) for q in queues for phase in PHASES}

    def count(self, queue: str, seconds: Mapping[str, float]) -> None:
        """A partition of `queue` went through these phases."""
        for phase, value in seconds.items():
            self.seconds[queue, phase].fold([value])
