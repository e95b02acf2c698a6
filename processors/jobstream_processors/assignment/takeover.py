"""Becoming the owner of a partition: claim it, restore its table, find where to start.

The claim row goes first. Its offset is the fencing token, and the table is restored up to it, so
nothing an earlier owner had acknowledged before the claim is missed. The start is the highest
watermark anyone recorded, so losing the group's offsets re-runs nothing that was settled.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple, Protocol

from jobstream_processors.assignment.handover import NOTHING_LEFT, Handed, handed, left_of
from jobstream_processors.assignment.lane import FLOOR, Lane
from jobstream_processors.assignment.mirror import MirrorWriter
from jobstream_processors.assignment.phases import ANNOUNCE, CLAIM, DETECT, PLACE, RESTORE
from jobstream_processors.assignment.places import Place, find
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.errors import OffsetOutOfRange
from jobstream_processors.ports import Mirrors, Outgoing
from jobstream_processors.topic_marks import without_topic
from jobstream_schemas import Row, encode_row, row_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobstream_processors.assignment.handover import Left
    from jobstream_processors.assignment.lane import Arrival
    from jobstream_processors.ports import Clock, Log, Position, Shard, Sink, TopicPartition
    from jobstream_processors.queue_plan import QueuePlan

log = logging.getLogger("jobstream.worker")

SUSPECT_PAUSE_MS = 1_000
SUSPECT_PAUSE_MS_MAX = 30_000
UNCLEAN_ALARM = 3


class OpenShard(NamedTuple):
    """A restored shard, and whose claim came before the one it was restored to."""

    shard: Shard
    previous_claim: int | None
    restored: int
    seconds: float


class Tables(Protocol):
    """The local dedup tables of one process."""

    def open(
        self,
        partition: TopicPartition,
        *,
        claim: int,
        topic_id: str,
        window_ms: int,
        needed: Callable[[], bool] | None = None,
    ) -> OpenShard:
        """Restore the shard of a dedup partition up to `claim`; blocks, with progress.

        Raises NoLongerWanted soon after `needed` says no, or TableUnavailable.
        """

    def close(self, partition: TopicPartition, shard: Shard) -> None:
        """Close that shard so that the next open here starts warm; blocks a few seconds at most.

        A shard of a later assignment stays open.
        """


class Takeover:
    """Prepares lanes. Blocks; may be used by several threads, one lane each."""

    def __init__(  # noqa: PLR0917 - the parts of one composition
        self,
        group: str,
        plans: Mapping[str, QueuePlan],
        sink: Sink,
        reader: Log,
        tables: Tables,
        mirrors: Mirrors,
        clock: Clock,
    ) -> None:
        self._group = group
        self._plans = plans
        self._sink = sink
        self._reader = reader
        self._tables = tables
        self._mirrors = mirrors
        self._clock = clock
        self.mirror = MirrorWriter(group, mirrors.topic, sink, clock)

    def prepare(self, arrival: Arrival) -> Lane | None:
        """The lane that may run jobs of it now, from its watermark on.

        None if its assignment ended meanwhile, or if what should be next is not in the log:
        `arrival.refused` says so, and so does the log. Nothing is claimed then, so that the
        owner after a reset has no owner to suspect. Raises PublishFailed when the claim was not
        acknowledged, TableUnavailable.
        """
        plan = self._plans[arrival.queue]
        if self._place(arrival) is None:
            return None
        arrival.phases.spent(PLACE)
        now_ms = self._clock.broker_ms()
        claim = Row("claim", "", "", 0, 0, 0, b"", b"", now_ms, 0, self._group)
        table = (plan.dedup, arrival.source[1])
        record = Outgoing(plan.dedup, row_key(claim), encode_row(claim), arrival.source[1])
        arrival.claim = self._sink.publish([record])[table]
        arrival.dedup_id = self._reader.topic_id(plan.dedup)
        arrival.phases.spent(CLAIM)
        opened = self._tables.open(
            table,
            claim=arrival.claim,
            topic_id=arrival.dedup_id,
            window_ms=plan.window_ms,
            needed=lambda: arrival.live,
        )
        arrival.phases.spent(RESTORE)
        try:
            arrival.lane = self._lane(arrival, opened)
        except Exception:
            self._tables.close(table, opened.shard)
            raise
        if arrival.lane is None:
            self._tables.close(table, opened.shard)
        return arrival.lane

    def release(self, lane: Lane) -> None:
        """Close the table of a lane that has ended; blocks a few seconds at most.

        Only its own: the partition may have come back as another lane.
        """
        self._tables.close((self._plans[lane.queue].dedup, lane.source[1]), lane.shard)

    def _lane(self, arrival: Arrival, opened: OpenShard) -> Lane | None:
        """The lane on this shard, and what it may begin announced; None if it is not to be."""
        # Once more: the owner before may have gone on until it saw the claim.
        place = self._place(arrival)
        if place is None:
            arrival.claim = -1
            return None
        if not arrival.live:
            return None  # It announces nothing, so no heir suspects its jobs.
        finished = place.mirror.finished if place.mirror is not None else ()
        lane = Lane(arrival, opened.shard, Watermark(place.start, finished))
        lane.left = _still_running(arrival.committed)
        self._suspect(lane, arrival, place, opened.previous_claim)
        lane.limit(max(place.start, lane.suspect_before) + FLOOR)
        self.mirror.publish([lane])
        arrival.phases.spent(ANNOUNCE)
        return lane

    def _place(self, arrival: Arrival) -> Place | None:
        """Where it starts; None, and it is refused, if that is not in the log."""
        try:
            place = find(
                self._reader, self._mirrors, self._group, arrival.source, arrival.committed
            )
        except OffsetOutOfRange as error:
            arrival.topic_id = self._reader.topic_id(arrival.source[0])
            arrival.refuse(str(error))
            return None
        arrival.topic_id = place.topic_id
        return place

    def _suspect(
        self, lane: Lane, arrival: Arrival, place: Place, previous_claim: int | None
    ) -> None:
        """Whether the last owner left cleanly; if not, its jobs may have killed it."""
        committed, mirror = place.committed, place.mirror
        last = self._mirrors.last_owner(self._group, lane.source, lane.topic_id, previous_claim)
        # Who claimed after it announced nothing, and so began nothing.
        owner = last.claim if last is not None and previous_claim is not None else previous_claim
        word = None
        if committed is not None:
            word = handed(committed.note, committed.offset, owner)
        elif previous_claim is None and mirror is None:
            word = Handed(0, NOTHING_LEFT)  # It never had an owner.
            lane.is_first = True
        after, lost = arrival.after, arrival.lost
        if word is None and after is not None and previous_claim in {None, after.claim}:
            word = after.word  # Its last owner lives here: a topic was made anew.
        if word is None and lost is not None and owner == lost.claim:
            word = lost.word  # Its last owner lives here: no job of it has killed anything.
        if word is not None:
            lane.suspect_before, lane.left = word
            return
        lane.phases.isolating = True
        if mirror is not None:
            # From the last word of the owner that died to this assignment.
            silent_s = (self._clock.broker_ms() - mirror.at) / 1_000
            lane.phases.seconds[DETECT] = max(0.0, silent_s - sum(lane.phases.seconds.values()))
        lane.suspect_before = place.end if last is None else min(last.may_begin, place.end)
        lane.unclean = 1 + (mirror.unclean if mirror is not None else 0)
        if lane.unclean > 1:
            pause_ms = min(SUSPECT_PAUSE_MS * 2 ** (lane.unclean - 2), SUSPECT_PAUSE_MS_MAX)
            lane.suspect_from_ms = self._clock.monotonic_ms() + pause_ms
        level = logging.ERROR if lane.unclean >= UNCLEAN_ALARM else logging.WARNING
        log.log(
            level,
            "takeover_unclean",
            extra={
                "partition": lane.source,
                "in_a_row": lane.unclean,
                "suspect_before": lane.suspect_before,
            },
        )


def _still_running(committed: Position | None) -> Left:
    """What may go on of what the writer of that note cut, though the note counts for nothing else.

    The next owner had no time to pass it on, or died, or the topic was made anew: then the writer
    may have read on in the new one before it heard.
    """
    if committed is None:
        return NOTHING_LEFT
    told = without_topic(committed)
    word = handed(told.note, told.offset, None)
    return left_of([], word.left.runs) if word is not None else NOTHING_LEFT
