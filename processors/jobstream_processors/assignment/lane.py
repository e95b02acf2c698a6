"""One assigned partition of a queue: an `Arrival` until it is restored, then a `Lane`.

Both end with their assignment. Whatever still runs for an ended lane can finish nothing: a new
assignment of the same partition is another lane with another claim.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobstream_processors.assignment.handover import NOTHING_LEFT, Handed, Lost, left_of
from jobstream_processors.assignment.phases import Phases

if TYPE_CHECKING:
    from jobstream_processors.assignment.handover import Left
    from jobstream_processors.core.watermark import Watermark
    from jobstream_processors.meter import QueueMeter
    from jobstream_processors.ports import Position, Shard, TopicPartition


log = logging.getLogger("jobstream.worker")

NOT_IN_LOG = "not_in_log"
"""Its place is not in the log, and an operator must decide."""
UNDECLARED = "undeclared"
UNDECLARED_WHY = (
    "the topic has more partitions than the queue declares, and jobs in this one wait; declare "
    "them, and: jobstream topics apply MODULE:APP --grow QUEUE"
)
Snapshot = tuple[int, Sequence[tuple[int, int]]]
"""A watermark's position, and the finished ranges above it."""
FLOOR = 16
"""Jobs of a lane that may always be announced ahead, so that a quiet one never waits."""
BATCH_MAX = 1_000
"""Records of one poll, and so how far the unfinished jobs of a partition may pass its window."""
UNBOUNDED = (1 << 63) - 1
"""Above every offset."""


class Assigned:
    """What is known of a partition from its assignment on."""

    def __init__(self, queue: str, source: TopicPartition, window_ms: int, window: int) -> None:
        self.queue, self.source, self.window_ms, self.window = queue, source, window_ms, window
        self.live = True
        self.meter: QueueMeter | None = None
        """Where its deliveries are counted; None where nothing counts them."""
        self.phases = Phases(time.perf_counter())
        self.claim = -1
        """Offset of this owner's claim row: the fencing token."""
        self.topic_id = self.dedup_id = ""
        """Which incarnations of the two topics its offsets, and its claim and rows, belong to."""
        self.refused = self.refusal = ""
        """Why nothing more of it is taken up until an operator has decided; and in one word."""

    def refuse(self, reason: str, refusal: str = NOT_IN_LOG) -> None:
        """Take up nothing more of it, and say so in the log."""
        self.refused, self.refusal = reason, refusal
        log.error("partition_refused", extra={"partition": self.source, "reason": reason})

    def end(self) -> None:
        """Its assignment is over."""
        self.live = False


class Arrival(Assigned):
    """A partition that the group assigned, and that is being prepared."""

    def __init__(
        self,
        queue: str,
        source: TopicPartition,
        window_ms: int,
        window: int,
        committed: Position | None = None,
    ) -> None:
        super().__init__(queue, source, window_ms, window)
        self.committed = committed
        """What the group has committed."""
        self.lost: Lost | None = None
        """What its lane before knew by which this process lost it; None if it did not."""
        self.after: Lost | None = None
        """The word of its lane before, which ended here as a topic was made anew."""
        self.lane: Lane | None = None
        """Set once it is restored."""

    def last_word(self) -> Lost:
        """What its heir in this process must know: nothing has begun here."""
        return Lost(self.claim, Handed(0, NOTHING_LEFT))


class Lane(Assigned):
    """A restored partition while it is served. The loop's thread owns it, but for `handed`."""

    def __init__(self, arrival: Arrival, shard: Shard, watermark: Watermark) -> None:
        super().__init__(arrival.queue, arrival.source, arrival.window_ms, arrival.window)
        self.meter, self.phases, self.claim = arrival.meter, arrival.phases, arrival.claim
        self.topic_id, self.dedup_id = arrival.topic_id, arrival.dedup_id
        self.shard, self.watermark = shard, watermark
        self.snapshot: Snapshot = (watermark.position, watermark.ranges())
        """What was shown last to the threads that mirror and commit it."""
        self.shown = (watermark.position, watermark.begun, 0)
        """Of which state that is: position, next to begin, unfinished."""
        self.told: Snapshot | None = None
        """The snapshot that its mirror has acknowledged last."""
        self.mirrored = watermark.position
        """Watermark position that is acknowledged in the mirror; commits go up to it."""
        self.committed = -1 if arrival.committed is None else arrival.committed.offset
        """What the group has; a mirror may be ahead of it."""
        self.wanted = self.may_begin = UNBOUNDED
        """No job at this offset or above begins: what the next mirror is to announce, and what the
        mirror has acknowledged."""
        self.left = NOTHING_LEFT
        """What the last owner was not through with; once handed over, what this one was not."""
        self.unclean = 0
        """How many takeovers in a row came without a clean hand-over."""
        self.is_first = False
        """No owner before this one is known of: nothing of it has begun anywhere."""
        self.suspect_before = 0
        """Jobs below this offset may have killed the last owner; they run in child processes."""
        self.suspects_left = arrival.window + BATCH_MAX
        """Unfinished jobs the last owner can have had begun at most; counts down."""
        self.suspect_from_ms = 0
        """Monotonic time before which no suspect job starts."""
        self.gap = 0
        """Records finished above the watermark, as last shown."""
        self.handed = 0
        """Records handed over by the thread that polls; only it writes this."""
        self.finish = watermark.finish
        """Called with an offset that was begun and is finished."""
        self.shut: tuple[str, ...] = ()
        """Why the engine begins nothing of it, in words; empty nearly always."""
        self.aside = 0
        """Jobs that wait in the engine while others of the partition go on."""

    @property
    def returned(self) -> int:
        """Records finished or dropped. Safe from any thread."""
        return self.watermark.returned

    @property
    def wants(self) -> bool:
        """Whether more is to be announced than may begin. Safe from any thread."""
        return self.wanted > self.may_begin

    @property
    def unfinished(self) -> int:
        """Records taken and not finished. Safe from any thread."""
        return max(0, self.handed - self.returned)

    def tell(self, shut: tuple[str, ...], aside: int) -> None:
        """Show other threads what waits in the engine."""
        self.shut, self.aside = shut, aside

    def limit(self, below: int) -> None:
        """No job at this offset or above begins, until a mirror has announced more."""
        self.wanted = self.may_begin = below

    def want(self, below: int) -> None:
        """Have it announced that jobs below this offset may begin."""
        self.wanted = max(self.wanted, below)

    def announced(self, below: int) -> None:
        """That is acknowledged."""
        self.may_begin = max(self.may_begin, below)

    def acknowledged(self, snapshot: Snapshot) -> None:
        """A mirror of this snapshot is acknowledged: it may be committed."""
        self.told = snapshot
        self.mirrored = max(self.mirrored, snapshot[0])

    def count_suspect(self, offset: int) -> None:
        """One suspect more has come. One that waited for a run comes out of order: never count it.

        The last owner can't have begun more than fit, and so the next one need not suspect more.
        """
        self.suspects_left -= 1
        if self.suspects_left <= 0:
            self.suspect_before = offset + 1

    def leave(self, left: Left) -> None:
        """It is handed over as it stands, and its owner was not through with this."""
        self.show()
        self.left = left

    def word(self) -> Handed:
        """What its owner knows that the next one must know."""
        return Handed(self.suspect_before, self.left)

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
