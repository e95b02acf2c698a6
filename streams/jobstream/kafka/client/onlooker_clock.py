"""Broker time as one can know it who only reads: this machine's clock, held between two bounds.

A record just read was stamped before it was read; one that was not there at the last look was
stamped after that look. Where records flow, the estimate is as good as the time between looks,
whatever this machine's clock says; where none do, that clock is all there is. A partition's stamps
are of the broker that leads it, and as in `clock.py` the median of partitions is believed.
"""

from __future__ import annotations

import time
from statistics import median_low
from typing import TYPE_CHECKING

from jobstream.kafka.client.broker_clock import Bounds, voters
from jobstream_processors.machine_time import monotonic_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.ports import TopicPartition

_OPEN = 1 << 62
"""No upper bound is known."""


class OnlookerClock:
    """Broker time in milliseconds since the epoch. Used by one thread."""

    def __init__(
        self,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], int] = monotonic_ms,
    ) -> None:
        self._wall_ms = wall_ms
        self.monotonic_ms = monotonic
        """Milliseconds that also pass while the machine sleeps."""
        self._known: dict[TopicPartition, Bounds] = {}

    def broker_ms(self) -> int:
        """The estimate: this machine's clock, held by the bounds of the partition in the middle."""
        now = self.monotonic_ms()
        ahead = self._wall_ms() - now
        # What was seen to be new says most. An old record says next to nothing, and must not
        # outvote it.
        from_both_sides = [each for each in self._known.values() if each.high < _OPEN]
        heard = voters(from_both_sides, now) or voters(self._known.values(), now)
        votes = [max(each.low, min(each.high, ahead)) for each in heard]
        return now + (median_low(votes) if votes else ahead)

    def observe(
        self, partition: TopicPartition, append_ms: int, *, absent_at_ms: int | None
    ) -> None:
        """Learn from a record just read of `partition`, stamped `append_ms` by its broker.

        `absent_at_ms` is a monotonic time at which it was not in the log yet; None: not known.
        """
        now = self.monotonic_ms()
        # A stamp is cut to whole milliseconds, as is the time of the look.
        high = _OPEN if absent_at_ms is None else append_ms - absent_at_ms + 1
        told = Bounds(append_ms - now, high, now, now)
        self._known[partition] = self._known.get(partition, told).joined(told)
