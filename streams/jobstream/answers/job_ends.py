"""Hears when jobs end, by the rows that workers write: for those who wait, and for streams.

One thread reads what is added to the apps' rows, only while somebody waits. Who waits looks at the
job itself once, after it has begun to listen, so that no end is missed.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jobstream.answers.errors import TooBusy
from jobstream.answers.heard_since import HeardSince
from jobstream.answers.moments import datetime_of
from jobstream.operate.job_events import type_by
from jobstream.operate.scan import row_of
from jobstream.operate.tail import Follower
from jobstream_processors.background import in_background, log_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.operate.view import AppView
    from jobstream_processors.ports import Record

log = logging.getLogger("jobstream.answers")

EVERY_S = 0.25
LISTENERS_MAX = 1_000
RETRY_S = 2.0
LOOK_S = 30.0
"""How often queues and schemas are looked at anew."""


@dataclass(frozen=True, slots=True)
class JobEnded:
    """The end of a job, or of one redrive of it."""

    id: str
    type: str
    """Empty where the schema is not known."""
    queue: str
    state: str
    attempt: int
    at: datetime


class JobEnds:
    """Safe in any thread; its own is `jobstream-endings`. `heard` must be quick and never block."""

    def __init__(self, make: Callable[[], AppView], every_s: float = EVERY_S) -> None:
        self._make, self._every_s = make, every_s
        self._change = threading.Condition()
        self._listeners: dict[int, Callable[[JobEnded], None]] = {}
        self._next = 0
        self._is_reading = self._started = self._closed = False

    def listen(self, heard: Callable[[JobEnded], None], wait_s: float = 15.0) -> Callable[[], None]:
        """Call `heard` for each end from now on, on another thread; returns how to stop it.

        Blocks until the reading has begun, for `wait_s` at most: it goes on all the same then.
        Raises TooBusy beyond 1,000 listeners.
        """
        with self._change:
            if len(self._listeners) >= LISTENERS_MAX:
                message = f"{LISTENERS_MAX} requests wait for the end of jobs: ask again later"
                raise TooBusy(message)
            self._next += 1
            number = self._next
            self._listeners[number] = heard
            if not self._started:
                self._started = True
                in_background("jobstream-endings", self._run, log_end("jobstream-endings"))
            self._change.notify_all()
            self._change.wait_for(lambda: self._is_reading or self._closed, wait_s)

        def stop() -> None:
            with self._change:
                self._listeners.pop(number, None)

        return stop

    def close(self) -> None:
        """Let the thread end."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def _run(self) -> None:
        while True:
            with self._change:
                self._is_reading = False
                self._change.wait_for(lambda: self._listeners or self._closed)
                if self._closed:
                    return
            try:
                self._read()
            except Exception as error:  # noqa: BLE001 - who waits looks at the job itself at the end
                log.warning("ends_unread", extra={"reason": str(error)})
                with self._change:
                    self._change.wait_for(lambda: self._closed, RETRY_S)

    def _read(self) -> None:
        """Tell what is added, until nobody listens."""
        view = self._make()
        follower = Follower(view.records, lambda _: None)
        since = HeardSince()
        owners: dict[str, str] = {}
        looked_s = -LOOK_S
        while True:
            if time.monotonic() - looked_s >= LOOK_S:
                looked_s = time.monotonic()
                view.look_again()
                owners = {queue.dedup: queue.name for queue in view.queues() if queue.dedup}
                ids = view.cluster.topic_ids(owners)
            places = [place for queue in view.queues() for place in queue.places(queue.dedup)]
            wanted = since.spans(view.cluster.spans(places), ids)
            for record in follower.advance(wanted, ids):
                self._take(view, record, owners[record.topic() or ""])
            self._begin()
            if not self._goes_on():
                return

    def _begin(self) -> None:
        with self._change:
            self._is_reading = True
            self._change.notify_all()

    def _goes_on(self) -> bool:
        with self._change:
            self._change.wait_for(lambda: self._closed, self._every_s)
            return bool(self._listeners) and not self._closed

    def _take(self, view: AppView, record: Record, queue: str) -> None:
        row = row_of(record)
        if row is None or row.kind != "job" or not row.state:
            return
        ended = JobEnded(
            id=row.id,
            type=type_by(view.catalogue, row.fingerprint),
            queue=queue,
            state=row.state,
            attempt=row.attempt,
            at=datetime_of(record.timestamp()[1]),
        )
        with self._change:
            listeners = list(self._listeners.values())
        for heard in listeners:
            heard(ended)
