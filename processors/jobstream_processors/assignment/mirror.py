"""Step 13, its second half: watermarks in the mirror, with what is finished above them.

A mirror tells the next owner where to go on, should the group's offsets be gone, and how far jobs
of the partition may have begun. Commits go as far as the mirror is acknowledged.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from jobstream_processors.background import in_background
from jobstream_processors.ports import Outgoing
from jobstream_schemas import Mirror, encode_mirror, mirror_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobstream_processors.assignment.lane import Lane, Snapshot
    from jobstream_processors.errors import PublishFailure
    from jobstream_processors.ports import Clock, Sink, Told

log = logging.getLogger("jobstream.worker")

AGAIN_ROUNDS = 60
"""After so many rounds every mirror is published again, changed or not."""
Announced = list[tuple["Lane", int]]
"""How far each lane may begin from now on."""


class MirrorWriter:
    """Writes the mirrors of one worker. Safe from any thread."""

    def __init__(self, group: str, topic: str, sink: Sink, clock: Clock) -> None:
        self._group = group
        self._topic = topic
        self._sink = sink
        self._clock = clock

    def publish(self, lanes: Sequence[Lane]) -> Announced:
        """Mirror what has changed of these now; blocks until acknowledged. Raises PublishFailed."""
        changed = [(lane, lane.snapshot, lane.wanted) for lane in lanes if is_due(lane)]
        if changed:
            self._sink.publish([self._record(lane) for lane, *_ in changed])
        for lane, snapshot, _ in changed:
            lane.acknowledged(snapshot)
        return [(lane, wanted) for lane, _, wanted in changed]

    def send(self, lane: Lane, done: Told) -> None:
        """Mirror it when its broker can; returns at once, and `done` hears of it."""
        self._sink.publish_soon(self._record(lane), done)

    def _record(self, lane: Lane) -> Outgoing:
        position, ranges = lane.snapshot
        topic, partition = lane.source
        suspects = position < lane.suspect_before
        mirror = Mirror(
            group=self._group,
            topic=topic,
            topic_id=lane.topic_id,
            partition=partition,
            position=position,
            finished=tuple(ranges),
            # Once all that was suspect has ended, the next death is a story of its own.
            unclean=lane.unclean if suspects else 0,
            at=self._clock.broker_ms(),
            claim=lane.claim,
            may_begin=max(lane.wanted, lane.suspect_before if suspects else 0),
        )
        return Outgoing(self._topic, mirror_key(mirror), encode_mirror(mirror))


class MirrorThread:
    """Mirrors lanes once per interval, each as its own broker can, from a thread of its own."""

    def __init__(
        self,
        writer: MirrorWriter,
        lanes: Callable[[], Sequence[Lane]],
        interval_s: float,
        stopped: Callable[[BaseException], None],
        announced: Callable[[Announced], object],
    ) -> None:
        """`announced` hears how far each lane may begin from now on."""
        self._writer = writer
        self._lanes = lanes
        self._interval_s = interval_s
        self._stopped = stopped
        self._announced = announced
        self._woken = threading.Event()
        self._under_way: set[Lane] = set()
        """One mirror of a lane at a time is on its way."""
        self._closing = threading.Event()

    def start(self) -> None:
        """Begin mirroring."""
        in_background("jobstream-mirror", self._serve, self._stopped)

    def close(self) -> None:
        """Stop; a last round is the drain's business."""
        self._closing.set()
        self._woken.set()

    def wake(self) -> None:
        """Some lane wants more announced: do not wait for the interval. Returns at once."""
        self._woken.set()

    def _send(self, lane: Lane) -> None:
        # Read before the record is made, which then holds as much or more.
        sent = partial(self._sent, lane, lane.snapshot, lane.wanted)
        self._under_way.add(lane)
        self._writer.send(lane, sent)

    def _sent(
        self, lane: Lane, snapshot: Snapshot, wanted: int, failure: PublishFailure | None
    ) -> None:
        if failure is None:
            lane.acknowledged(snapshot)
            if wanted > lane.may_begin:
                self._announced([(lane, wanted)])
        else:
            told = {"partition": lane.source, "code": failure.code, "reason": failure.reason}
            log.warning(
                "mirror_failed", extra={**told, "next": "mirrored again with the next round"}
            )
        self._under_way.discard(lane)
        if failure is None and lane.wanted > wanted:
            self.wake()

    def _serve(self) -> None:
        rounds, due_s = 0, time.monotonic() + self._interval_s
        while True:
            self._woken.wait(max(0.0, due_s - time.monotonic()))
            self._woken.clear()
            if self._closing.is_set():
                return
            lanes, now_s = self._lanes(), time.monotonic()
            if now_s < due_s:
                due = [lane for lane in lanes if lane.wants]
            else:
                rounds, due_s = rounds + 1, now_s + self._interval_s
                if not rounds % AGAIN_ROUNDS:
                    # A frozen worker's late mirror may have become the newest of its key.
                    for lane in lanes:
                        lane.told = None
                due = [lane for lane in lanes if is_due(lane)]
            for lane in due:
                if lane not in self._under_way:
                    self._send(lane)


def is_due(lane: Lane) -> bool:
    """Whether its mirror lacks something that it should have."""
    return lane.wants or lane.told is not lane.snapshot
