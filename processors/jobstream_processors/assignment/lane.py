"""One assigned partition of a queue: its watermark, order, pauses and claim, for one epoch.

A lane ends with its assignment. Whatever still runs for an ended lane can finish nothing: a new
assignment of the same partition is another lane with another claim.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobstream_processors.assignment.handover import NOTHING_LEFT, Handed, Lost, left_of
from jobstream_processors.assignment.phases import Phases
from jobstream_processors.core.flood import FloodGuard
from jobstream_processors.core.keychains import KeyChains

if TYPE_CHECKING:
    from jobstream_processors.core.watermark import Watermark
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.meter import QueueMeter
    from jobstream_processors.ports import Shard, TopicPartition


log = logging.getLogger("jobstream.worker")

NOT_IN_LOG = "not_in_log"
"""Its place is not in the log, and an operator must decide."""
UNDECLARED = "undeclared"
UNDECLARED_WHY = (
    "the topic has more partitions than the queue declares, and jobs in this one wait; declare "
    "them, and: jobstream topics apply MODULE:APP --grow QUEUE"
)
Snapshot = tuple[int, Sequence[tuple[int, int]]]
FLOOR = 16
"""Jobs of a lane that may always be announced ahead, so that a quiet one never waits."""
UNBOUNDED = (1 << 63) - 1
"""Above every offset."""


class Ahead:
    """What a lane would begin next, and what it wants announced for that."""

    __slots__ = ("beyond", "reserved", "wanted")

    def __init__(self) -> None:
        self.wanted = UNBOUNDED
        """What the next mirror is to announce as `may_begin`. It never sinks."""
        self.reserved = (0, 0)
        """How far jobs were taken up when more was wanted last, and when (monotonic)."""
        self.beyond: deque[Delivery] = deque()
        """Jobs that would begin and may not yet, in order of offsets."""


class Lane:
    """State of one partition during one assignment. The loop's thread owns it, but for `handed`."""

    __slots__ = (
        "absorbed",
        "after",
        "ahead",
        "aside",
        "chains",
        "claim",
        "dedup_id",
        "draining",
        "flood",
        "gap",
        "gates",
        "handed",
        "held",
        "left",
        "live",
        "lost",
        "may_begin",
        "meter",
        "mirrored",
        "phases",
        "probe",
        "queue",
        "refusal",
        "refused",
        "returned",
        "shard",
        "shown",
        "snapshot",
        "source",
        "suspect_before",
        "suspect_from_ms",
        "suspects_left",
        "topic_id",
        "unclean",
        "watermark",
        "window_ms",
    )

    def __init__(  # noqa: PLR0915 - each attribute, and what it is for
        self, queue: str, source: TopicPartition, window_ms: int, window: int
    ) -> None:
        self.queue, self.source, self.window_ms = queue, source, window_ms
        self.live = True
        self.meter: QueueMeter | None = None
        """Where its deliveries are counted; None where nobody counts."""
        self.gap = 0
        """Records finished above the watermark, as last shown."""
        self.absorbed = 0  # Deliveries dropped by a row of the dedup table.
        self.mirrored = 0
        """Watermark position that is acknowledged in the mirror; commits go up to it."""
        self.claim = -1
        """Offset of this owner's claim row: the fencing token."""
        self.unclean = 0
        """How many takeovers in a row came without a clean hand-over."""
        self.suspect_before = 0
        """Jobs below this offset may have killed the last owner; they run in child processes."""
        self.suspects_left = window
        """Unfinished jobs the last owner can have had begun at most; counts down."""
        self.may_begin = UNBOUNDED
        """No job at this offset or above begins; what the mirror has acknowledged."""
        self.ahead = Ahead()
        self.suspect_from_ms = 0
        """Monotonic time before which no suspect job starts."""
        self.shard: Shard
        self.phases = Phases(time.perf_counter())
        self.refused = self.refusal = ""
        """Why nothing more of it is taken up until an operator has decided; and in one word."""
        self.topic_id = self.dedup_id = ""
        """Which incarnations of the two topics its offsets, and its claim and rows, belong to."""
        self.after: Lost | None = None
        """The word of the lane of this process that ended as its topic was made anew."""
        self.lost: Lost | None = None
        """What the lane knew by which this process lost the partition; None if it did not."""
        self.watermark: Watermark
        self.chains: KeyChains[Delivery] = KeyChains()
        self.flood = FloodGuard()
        self.probe: Delivery | None = None
        """What the flood guard let through last, until it ends."""
        self.gates: set[str] = set()
        """Why jobs may not start freely; empty nearly always."""
        self.held: deque[Delivery] = deque()
        """Jobs that wait for the flood guard, or while their queue is paused."""
        self.aside: deque[Delivery] = deque()
        """Jobs of paused types; others of the partition go on."""
        self.draining = False
        """Nothing more starts; what runs may end and settle."""
        self.left = NOTHING_LEFT
        """What the last owner was not through with; once handed over, what this one was not."""
        self.snapshot: Snapshot = (0, ())
        """Watermark position and finished ranges, last shown to the threads that commit them."""
        self.shown = (-1, -1, -1)
        """Of which state that is: position, next to begin, unfinished."""
        self.handed = 0
        """Records handed over by the thread that polls; only it writes this."""
        self.returned = 0
        """Records finished or dropped; only the loop's thread writes this."""

    def refuse(self, reason: str, refusal: str = NOT_IN_LOG) -> None:
        """Take up nothing more of it, and say so in the log."""
        self.refused, self.refusal = reason, refusal
        log.error("partition_refused", extra={"partition": self.source, "reason": reason})

    def refuse_undeclared(self) -> None:
        """Refuse a partition that the queue does not declare."""
        self.refuse(UNDECLARED_WHY, UNDECLARED)

    def last_word(self) -> Lost:
        """What its heir in this process must know where one of its topics was made anew."""
        return Lost(self.claim, Handed(0, left_of([], self.left.runs)))

    def show(self) -> None:
        """Publish the watermark to the threads that commit it, if it or its ranges changed."""
        mark = self.watermark
        now = (mark.position, mark.begun, mark.unfinished)
        if now != self.shown:
            self.shown = now
            self.snapshot = (mark.position, mark.ranges())
        self.gap = mark.gap
