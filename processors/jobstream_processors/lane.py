"""One assigned partition of a queue: its watermark, order, pauses and claim, for one epoch.

A lane ends with its assignment. Whatever still runs for an ended lane can finish nothing: a new
assignment of the same partition is another lane with another claim.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from jobstream_processors.core.flood import FloodGuard
from jobstream_processors.core.keychains import KeyChains

if TYPE_CHECKING:
    from jobstream_processors.core.watermark import Watermark
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.ports import Shard, TopicPartition


class Lane:
    """State of one partition during one assignment. The loop's thread owns it, but for `handed`."""

    __slots__ = (
        "absorbed",
        "chains",
        "claim",
        "committable",
        "flood",
        "handed",
        "held",
        "live",
        "queue",
        "returned",
        "shard",
        "source",
        "suspect_before",
        "suspect_from_ms",
        "unclean",
        "watermark",
        "window_ms",
    )

    def __init__(self, queue: str, source: TopicPartition, window_ms: int) -> None:
        self.queue = queue
        self.source = source
        self.window_ms = window_ms
        self.live = True
        self.absorbed = 0
        """Deliveries dropped by a row of the dedup table."""
        self.claim = -1
        """Offset of this owner's claim row: the fencing token."""
        self.unclean = 0
        """How many takeovers in a row came without a clean hand-over."""
        self.suspect_before = 0
        """Jobs below this offset may have killed the last owner; they run in child processes."""
        self.suspect_from_ms = 0
        """Monotonic time before which no suspect job starts."""
        self.shard: Shard
        self.watermark: Watermark
        self.chains: KeyChains[Delivery] = KeyChains()
        self.flood = FloodGuard()
        self.held: deque[Delivery] = deque()
        """Jobs that wait for the flood guard or the pause before suspects."""
        self.committable = 0
        """Watermark position last published to the thread that commits."""
        self.handed = 0
        """Records handed over by the thread that polls; only it writes this."""
        self.returned = 0
        """Records finished or dropped; only the loop's thread writes this."""
