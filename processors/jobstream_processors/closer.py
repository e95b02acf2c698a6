"""Closes dead letters that are no longer open: their job is done, or went on in a later redrive.

A redrive publishes the job first and the letter's tombstone second. Whoever dies in between leaves
a letter that says "open" of a job that is not; the partition's owner, who has the rows, sees it.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from jobstream_processors.core.letters import is_stale
from jobstream_processors.errors import PublishFailed, TableUnavailable, WorkerStopped
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobstream_processors.lane import Lane
    from jobstream_processors.ports import Log, Sink
    from jobstream_processors.queues import QueuePlan

log = logging.getLogger("jobstream.worker")

OPEN_MAX = 100_000
"""Open letters watched per partition; the oldest beyond it wait for those before them."""


class Letters:
    """The open letters of one dead-letter partition, as far as it was read."""

    def __init__(self) -> None:
        self.next = 0
        self.open: dict[bytes, tuple[str, int]] = {}

    def take(self, key: bytes | None, *, closed: bool) -> None:
        """Follow one record of the partition."""
        found = parse_key(key)
        if key is None or found is None:
            return
        if closed:
            self.open.pop(key, None)
        elif len(self.open) < OPEN_MAX:
            self.open[key] = found


class Closer:
    """Watches the dead letters of the lanes of one process, from a thread of its own."""

    def __init__(
        self,
        plans: Mapping[str, QueuePlan],
        reader: Log,
        sink: Sink,
        lanes: Callable[[], list[Lane]],
        interval_s: float,
    ) -> None:
        self._plans = plans
        self._reader = reader
        self._sink = sink
        self._lanes = lanes
        self._interval_s = interval_s
        self._letters: dict[Lane, Letters] = {}
        self._closing = threading.Event()

    def start(self) -> None:
        """Begin watching."""
        threading.Thread(target=self._run, name="jobstream-closer", daemon=True).start()

    def close(self) -> None:
        """Stop watching."""
        self._closing.set()

    def sweep(self) -> int:
        """Read on and close what is settled elsewhere; returns how many letters were closed."""
        lanes = self._lanes()
        for gone in set(self._letters) - set(lanes):
            del self._letters[gone]
        return sum(self._sweep(lane) for lane in lanes if lane.live)

    def _run(self) -> None:
        while not self._closing.wait(self._interval_s):
            try:
                self.sweep()
            except WorkerStopped:
                return
            except (PublishFailed, TableUnavailable) as error:
                log.warning("closer_failed", extra={"reason": str(error)})
            except Exception:
                # A broker that does not answer: the next round reads on where this one stopped.
                log.exception("closer_failed")

    def _sweep(self, lane: Lane) -> int:
        letters = self._letters.setdefault(lane, Letters())
        place = (self._plans[lane.queue].dlq, lane.source[1])
        low, high = self._reader.span(place)
        for batch in self._reader.read(place, max(low, letters.next), high):
            for record in batch:
                letters.take(record.key(), closed=record.value() is None)
        letters.next = high
        if not letters.open:
            return 0
        watched = list(letters.open.items())
        known = lane.shard.get([job_id for _, (job_id, _) in watched])
        over = [
            key
            for (key, (_, redrive)), facts in zip(watched, known, strict=True)
            if facts is not None and is_stale(facts, redrive)
        ]
        if over:
            self._sink.publish([Outgoing(place[0], key, None, place[1]) for key in over])
            for key in over:
                letters.open.pop(key, None)
            log.info("letters_closed", extra={"partition": place, "letters": len(over)})
        return len(over)


def parse_key(key: bytes | None) -> tuple[str, int] | None:
    """(id, redrive) of a letter's key; None for a stranger's record."""
    if key is None:
        return None
    job_id, colon, redrive = key.decode("utf-8", "replace").rpartition(":")
    if not colon or not job_id or not redrive.isdigit() or not redrive.isascii():
        return None
    return job_id, int(redrive)
