"""The thread that settles: takes decisions as they come, settles them in batches, reports back.

While one batch waits for its acknowledgements the next one gathers, so the batch size follows the
load by itself. A partition whose brokers do not answer holds up none of the others. What could not
be published is tried again with a growing pause. It also publishes the mirrored watermarks, once
per interval.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from jobstream_processors.background import in_background

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream_processors.assignment.lane import Lane, Snapshot
    from jobstream_processors.delivery import Decided
    from jobstream_processors.errors import PublishFailure
    from jobstream_processors.meter import Meter
    from jobstream_processors.ports import Outgoing, Sink

log = logging.getLogger("jobstream.worker")

Action = Callable[[], object]


def STOP() -> None:  # noqa: N802 - a mark, never called
    """Stands for the end of the thread."""


PAUSE_S = (0.05, 2.0)
BATCH_MAX = 5_000
LATE_S = 0.05
"""So often is looked whether partitions that are late were answered."""


class Settles(Protocol):
    """What makes decisions durable: a Settler, or one that is watched."""

    @property
    def waits(self) -> bool:
        """Whether some of what it was given waits for acknowledgements."""

    def settle(self, batch: Sequence[Decided]) -> tuple[list[Decided], list[Decided]]:
        """(settled, to be tried again); the rest waits for a later call, or its lane has ended."""


class SettleThread:
    """Runs a Settler. `put` may be called from any thread."""

    def __init__(
        self,
        settler: Settles,
        report: Callable[[list[Decided]], None],
        stopped: Callable[[BaseException], None],
        meter: Meter | None = None,
    ) -> None:
        self._settler = settler
        self._report = report
        self._stopped = stopped
        self._meter = meter
        self._inbox: queue.SimpleQueue[list[Decided] | Action | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin settling."""
        self._thread = in_background("jobstream-settle", self._serve, self._stopped)

    def put(self, batch: list[Decided]) -> None:
        """Settle these; they come back through `report` when all they wrote is acknowledged."""
        self._inbox.put(batch)

    def call(self, action: Action) -> None:
        """Run `action` on this thread after everything put before it."""
        self._inbox.put(action)

    def close(self, timeout_s: float) -> None:
        """Stop after what was put; waits at most `timeout_s`."""
        self._inbox.put(None)
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _serve(self) -> None:
        again: list[Decided] = []
        pause_s, due_s = PAUSE_S[0], 0.0
        while True:
            batch, then = self._gather(self._idle_s(due_s if again else None))
            if again and (then is STOP or time.monotonic() >= due_s):
                batch, again = again + batch, []
            if batch or self._settler.waits:
                settled, failed = self._settler.settle(batch)
                if settled:
                    self._report(settled)
                if failed:
                    if self._meter is not None:
                        self._meter.publish_retries += len(failed)
                    if not again:
                        due_s = time.monotonic() + pause_s
                        pause_s = min(pause_s * 2, PAUSE_S[1])
                    again += failed
                elif not again:
                    pause_s = PAUSE_S[0]
                del settled, failed
            del batch  # It may be long until the next: these jobs need not stay in memory.
            if then is STOP:
                return
            if then is not None:
                then()

    def _idle_s(self, due_s: float | None) -> float | None:
        """How long there may be nothing to do but for what is put; None: without end."""
        waits = [] if due_s is None else [max(0.0, due_s - time.monotonic())]
        if self._settler.waits:
            waits.append(LATE_S)
        return min(waits, default=None)

    def _gather(self, timeout_s: float | None) -> tuple[list[Decided], Action | None]:
        """What to settle next, and what to do after it; waits for that at most `timeout_s`."""
        batch: list[Decided] = []
        try:
            item = self._inbox.get(timeout=timeout_s)
            while len(batch) < BATCH_MAX:
                if not isinstance(item, list):
                    return batch, STOP if item is None else item
                batch += item
                item = self._inbox.get_nowait()
        except queue.Empty:
            return batch, None
        # One item too many was taken: a list is settled with this batch, an action follows it.
        if isinstance(item, list):
            return batch + item, None
        return batch, STOP if item is None else item


AGAIN_ROUNDS = 60
"""After so many rounds every mirror is published again, changed or not."""


class MirrorThread:
    """Publishes the mirrored watermarks of lanes, once per interval, from a thread of its own."""

    def __init__(
        self,
        sink: Sink,
        lanes: Callable[[], list[Lane]],
        record: Callable[[Lane], Outgoing],
        interval_s: float,
        stopped: Callable[[BaseException], None],
        *,
        announced: Callable[[list[tuple[Lane, int]]], object] = list,
    ) -> None:
        """`announced` hears how far each lane may begin from now on."""
        self._sink = sink
        self._stopped = stopped
        self._lanes = lanes
        self._record = record
        self._interval_s = interval_s
        self._announced = announced
        self._woken = threading.Event()
        self._seen: dict[Lane, object] = {}
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

    def publish(self, lanes: list[Lane]) -> None:
        """Mirror these lanes now; blocks until acknowledged. Raises PublishFailed."""
        changed = self._changed(lanes)
        if not changed:
            return
        shown = [lane.snapshot for lane in changed]
        self._sink.publish([self._record(lane) for lane in changed])
        for lane, snapshot in zip(changed, shown, strict=True):
            self._seen[lane] = snapshot
            lane.mirrored = snapshot[0]

    def _changed(self, lanes: list[Lane]) -> list[Lane]:
        return [lane for lane in lanes if self._seen.get(lane) is not lane.snapshot or _wants(lane)]

    def _send(self, lane: Lane) -> None:
        """Mirror it when its broker can; the others wait for their own brokers only."""
        # Read before the record is made: that one tells as much or more.
        snapshot, wanted = lane.snapshot, lane.ahead.wanted
        self._under_way.add(lane)
        self._sink.publish_soon(self._record(lane), partial(self._sent, lane, snapshot, wanted))

    def _sent(
        self, lane: Lane, snapshot: Snapshot, wanted: int, failure: PublishFailure | None
    ) -> None:
        if failure is None:
            self._seen[lane] = snapshot
            lane.mirrored = max(lane.mirrored, snapshot[0])
            if wanted > lane.may_begin:
                self._announced([(lane, wanted)])
        else:
            told = {"partition": lane.source, "code": failure.code, "reason": failure.reason}
            log.warning(
                "mirror_failed", extra={**told, "next": "mirrored again with the next round"}
            )
        self._under_way.discard(lane)
        if failure is None and lane.ahead.wanted > wanted:
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
                lanes = [lane for lane in lanes if _wants(lane)]
            else:
                rounds, due_s = rounds + 1, now_s + self._interval_s
                if not rounds % AGAIN_ROUNDS:
                    # A frozen worker's late mirror may have become the newest of its key.
                    self._seen.clear()
            for lane in self._changed(lanes):
                if lane not in self._under_way:
                    self._send(lane)
            for gone in [lane for lane in list(self._seen) if not lane.live]:
                self._seen.pop(gone, None)


def _wants(lane: Lane) -> bool:
    """Whether more is to be announced than the lane may begin."""
    return lane.ahead.wanted > lane.may_begin
