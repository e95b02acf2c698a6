"""The canary's process: a thread per queue that probes at an interval, its counts, its health."""

from __future__ import annotations

import logging
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from jobstream.canary.path import Line, ProbeRows, client_of
from jobstream.canary.probing import ENQUEUE, Probed, pause_s
from jobstream.canary.tally import ProbeTally
from jobstream.observe.health import Check, Probes
from jobstream_processors.background import in_background, log_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream.operate.layout import QueueTopics
    from jobstream.settings import Settings

log = logging.getLogger("jobstream.canary")

LEAVE_S = 5.0
SLACK_S = 30.0
"""A thread that has not turned for a probe's longest time and this much more is stuck."""


class Canary:
    """Probes some queues of one app. Made, used once, thrown away."""

    def __init__(
        self,
        app: str,
        settings: Settings,
        queues: Sequence[QueueTopics],
        *,
        interval_s: float,
        timeout_s: float,
    ) -> None:
        """Prepare; nothing is sent yet."""
        self._queues = queues
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._slowest_s = timeout_s + settings.enqueue_timeout_ms / 1000 + interval_s + SLACK_S
        self._options = settings.client_options()
        self._client = client_of(app, settings)
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.tally = ProbeTally([queue.name for queue in queues], time.time())
        now = time.monotonic()
        self._turned = dict.fromkeys((queue.name for queue in queues), now)
        self._last: dict[str, Probed] = {}

    def once(self) -> list[Probed]:
        """Probe every queue once, side by side; blocks for the slowest of them."""
        try:
            with ThreadPoolExecutor(len(self._queues), "jobstream-canary") as threads:
                return list(threads.map(self._probe_once, self._queues))
        finally:
            self._client.transport.close()

    def start(self) -> None:
        """Probe at the interval from now on, on threads of its own; returns at once."""
        for queue in self._queues:
            # Its end shows as a queue that is not probed: the process is not live any more.
            name = f"jobstream-canary-{queue.name}"
            keep = partial(self._keep, queue)
            self._threads.append(in_background(name, keep, log_end(name)))

    def stop(self) -> None:
        """Give up what is under way and disconnect; blocks for ten seconds at most."""
        self._stopping.set()
        until = time.monotonic() + LEAVE_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._client.transport.close()

    def probes(self) -> Probes:
        """Live while every thread turns; ready while Kafka takes jobs; started after a probe each.

        A canary whose jobs are not done is healthy: it does what it is for.
        """
        return Probes(self._live, self._ready, self._started, self._status)

    def _probe_once(self, queue: QueueTopics) -> Probed:
        rows = ProbeRows(self._options)
        try:
            return self._line(queue, rows).probe(self._timeout_s, self._stopping.is_set)
        finally:
            rows.close()

    def _line(self, queue: QueueTopics, rows: ProbeRows) -> Line:
        first = random.randrange(queue.counts[queue.topic])  # noqa: S311 - spreads, hides nothing
        return Line(queue, self._client, rows, first)

    def _keep(self, queue: QueueTopics) -> None:
        rows = ProbeRows(self._options)
        line = self._line(queue, rows)
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                probed = line.probe(self._timeout_s, self._stopping.is_set)
                if self._stopping.is_set():
                    return  # given up half-way: it says nothing of the queue
                self._take(probed)
                self._stopping.wait(pause_s(self._interval_s, time.monotonic() - began))
        finally:
            rows.close()

    def _take(self, probed: Probed) -> None:
        self.tally.take(probed, time.time())
        self._turned[probed.queue] = time.monotonic()
        self._last[probed.queue] = probed
        told = {
            "queue": probed.queue,
            "partition": probed.partition,
            "canary_id": probed.job_id,
            "seconds": round(probed.seconds, 3),
        }
        if probed.failure:
            why = {"reason": probed.failure, "detail": probed.detail}
            log.warning("canary_failed", extra=told | why)
        else:
            log.debug("canary_done", extra=told)

    def _live(self) -> list[Check]:
        now = time.monotonic()
        return [
            Check(
                f"probing {name}",
                ok=now - turned <= self._slowest_s,
                why=f"no probe of queue {name} has finished for {now - turned:.0f} s",
            )
            for name, turned in self._turned.items()
        ]

    def _ready(self) -> list[Check]:
        return [
            Check(f"enqueue {name}", ok=probed.failure != ENQUEUE, why=probed.detail)
            for name, probed in dict(self._last).items()
        ]

    def _started(self) -> list[Check]:
        last = dict(self._last)
        return [
            Check(f"first probe {queue.name}", ok=queue.name in last, why="none has finished yet")
            for queue in self._queues
        ]

    def _status(self) -> dict[str, object]:
        now, last = time.time(), dict(self._last)
        return {
            "queues": {
                name: {
                    "last_success_s_ago": round(now - at, 1),
                    "last_failure": last[name].failure if name in last else "",
                }
                for name, at in self.tally.last_success().items()
            }
        }
