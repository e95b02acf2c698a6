"""Closes dead letters that are no longer open: their job is done, or went on in a later redrive.

A redrive publishes the job first and the letter's tombstone second. If the redriver dies in
between, the letter stays open although its job is back on the queue. The partition's owner has the
job's rows, and closes the letter.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING

from jobstream_processors.background import in_background
from jobstream_processors.core.letters import is_stale, parse_key
from jobstream_processors.errors import PublishFailed, TableUnavailable, WorkerStopped
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.ports import Log, Record, Sink, TopicPartition
    from jobstream_processors.queue_plan import QueuePlan

log = logging.getLogger("jobstream.worker")

OPEN_MAX = 100_000
"""Open letters watched per partition at a time. Where there are more, they are watched in turns."""
REST_SWEEPS = 120
"""Sweeps between two rounds of such turns: each round reads the partition anew."""


class Letters:
    """Open letters of one dead-letter partition: all of them, or as many as may be kept."""

    def __init__(self, topic_id: str) -> None:
        self.topic_id = topic_id
        """In which incarnation of the topic they are."""
        self.next = 0
        self.open: dict[bytes, tuple[str, int]] = {}
        self._judged = False
        """What is kept was looked at."""
        self._passed = False
        """Others, before it, had to make room."""
        self._read = False
        """The end of the partition was reached in this round."""
        self._rested = 0

    def turn(self, low: int, high: int) -> None:
        """Make room for what follows once all that is kept was looked at; in the end begin anew."""
        if not self._judged:
            return
        self._rested += self._passed and self._read
        if self._rested >= REST_SWEEPS:
            self.open.clear()
            self.next, self._passed, self._read, self._rested = low, False, False, 0
        elif self.next < high and len(self.open) >= OPEN_MAX:
            self.open.clear()
            self._passed = True

    def take(self, records: Iterable[Record]) -> bool:
        """Follow records of the partition; False where one has to wait for room."""
        self._judged = False
        for record in records:
            key = record.key()
            found = parse_key(key)
            if key is not None and found is not None:
                if record.value() is None:
                    self.open.pop(key, None)
                elif len(self.open) < OPEN_MAX or key in self.open:
                    self.open[key] = found
                else:
                    self.next = record.offset() or 0
                    return False
        return True

    def reached(self, end: int) -> None:
        """All records before `end` were taken."""
        self.next, self._read = end, True

    def judged(self, over: Iterable[bytes]) -> None:
        """All that is kept was looked at; these are closed."""
        self._judged = True
        for key in over:
            self.open.pop(key, None)


class Closer:
    """Watches the dead letters of the lanes of one process, from a thread of its own."""

    def __init__(
        self,
        plans: Mapping[str, QueuePlan],
        reader: Log,
        sink: Sink,
        lanes: Callable[[], list[Lane]],
    ) -> None:
        self._plans = plans
        self._reader = reader
        self._sink = sink
        self._lanes = lanes
        self._letters: dict[Lane, Letters] = {}
        self._closing = threading.Event()

    def start(self, interval_s: float, stopped: Callable[[BaseException], object]) -> None:
        """Sweep once per interval from now on; `stopped` hears of what ends that."""
        in_background("jobstream-closer", partial(self._serve, interval_s), stopped)

    def close(self) -> None:
        """Stop watching."""
        self._closing.set()

    def sweep(self) -> int:
        """Read on and close what is settled elsewhere; returns how many letters were closed.

        A partition whose letters can't be read or closed is logged, and looked at again by the next
        sweep; it holds up no other.
        """
        lanes = self._lanes()
        for gone in set(self._letters) - set(lanes):
            del self._letters[gone]
        return sum(self._swept(lane) for lane in lanes if lane.live)

    def _serve(self, interval_s: float) -> None:
        while not self._closing.wait(interval_s):
            self.sweep()

    def _swept(self, lane: Lane) -> int:
        try:
            return self._sweep(lane)
        except WorkerStopped:
            raise
        except (PublishFailed, TableUnavailable) as error:
            log.warning("closer_failed", extra={"partition": lane.source, "reason": str(error)})
        except Exception:
            # A broker that does not answer: the next round reads on where this one stopped.
            log.exception("closer_failed", extra={"partition": lane.source})
        return 0

    def _sweep(self, lane: Lane) -> int:
        place = (self._plans[lane.queue].dlq, lane.source[1])
        topic_id = self._reader.topic_id(place[0])
        letters = self._letters.get(lane)
        if letters is None or letters.topic_id != topic_id:
            letters = self._letters[lane] = Letters(topic_id)
        low, high = self._reader.span(place)
        letters.turn(low, high)
        if all(map(letters.take, self._reader.read(place, max(low, letters.next), high))):
            letters.reached(high)
        watched = list(letters.open.items())
        known = lane.shard.get([job_id for _, (job_id, _) in watched])
        over = [
            key
            for (key, (_, redrive)), facts in zip(watched, known, strict=True)
            if facts is not None and is_stale(facts, redrive)
        ]
        closed = self._closed_since(place, letters.next, high, set(over)) if over else set()
        over = [key for key in over if key not in closed]
        if over:
            self._sink.publish([Outgoing(place[0], key, None, place[1]) for key in over])
            log.info("letters_closed", extra={"partition": place, "letters": len(over)})
        letters.judged({*over, *closed})
        return len(over)

    def _closed_since(
        self, place: TopicPartition, start: int, stop: int, keys: set[bytes]
    ) -> set[bytes]:
        """Which of the letters a tombstone closed that stands in what was not read yet."""
        closed: set[bytes] = set()
        for batch in self._reader.read(place, start, stop):
            for record in batch:
                if (key := record.key()) in keys:
                    (closed.add if record.value() is None else closed.discard)(key)
        return closed
