"""Looks at the lag of queues that have bounds, about once a second, beside those who enqueue.

It joins no group and asks no coordinator: workers write their watermarks to the offsets topic, and
that is followed here. A look that fails leaves every door open. In memory a look takes no
time, so it is made where the job is enqueued, and tests need not wait for it.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from jobstream.enqueue.door import Door
from jobstream.enqueue.known_lag import KnownLag
from jobstream.topics.names import offsets_topic, worker_group
from jobstream_processors.background import in_background
from jobstream_processors.core.back_pressure import Pace, judge
from jobstream_processors.forked import tell_in_child
from jobstream_schemas import DecodeError, decode_mirror

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jobstream.enqueue.lag_port import LagReader
    from jobstream.enqueue.transport import Transport
    from jobstream_processors.core.back_pressure import QueueBounds, QueueLook
    from jobstream_processors.ports import Record
    from jobstream_processors.queue_plan import QueuePlan

THREAD = "jobstream-back-pressure"
LOOK_S = 1.0
IDLE_LOOK_S = 10.0
"""Between two looks while nobody enqueues."""
IDLE_END_S = 600.0
"""After so long without an enqueue the looks end, with the thread and the connection."""
ASK_S = 1.0
FAILED_S = 5.0
"""Before the next look after one that failed."""
TIMES_OVER = (2, 4, 8, 16)
"""How many times the age bound the oldest may be: asked only where a queue is over it."""
NO_WORKER = "no worker has served this queue yet"


class _Watched:
    """One door and what is known of its queue."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.lag = KnownLag()
        self.pace = Pace()
        plan = door.plan
        self.places = [(plan.topic, number) for number in range(plan.partitions)]


class LagWatch:
    """The looks of one app in one process. Safe to use from any thread."""

    def __init__(self, app: str) -> None:
        self._app = app
        self._prefix = f"{worker_group(app)}:".encode()
        self._doors: list[Door] = []
        self._lock = threading.Lock()
        self._life: _Life | None = None
        tell_in_child(self)

    def door(self, plan: QueuePlan, bounds: QueueBounds) -> Door:
        """The door of a queue: the same one for all its job types."""
        with self._lock:
            found = next((door for door in self._doors if door.plan.topic == plan.topic), None)
            if found is not None:
                return found
            made = Door(plan, bounds, self._asked)
            self._doors.append(made)
            # It is looked after from the next enqueue on.
            life, self._life = self._life, None
        if life is not None:
            life.close()
        return made

    @property
    def doors(self) -> tuple[Door, ...]:
        """Every door of the app."""
        return tuple(self._doors)

    def _asked(self, door: Door, transport: Transport, now_s: float) -> float:
        """Somebody enqueues there; returns when to say so again. Starts the looks, or takes one."""
        life = self._life
        if life is None or life.transport is not transport or life.is_over:
            life = self._begin(transport)
        return life.asked(door, now_s) if life is not None else now_s + ASK_S

    def close(self) -> None:
        """End the looks; the next enqueue begins anew. Returns at once."""
        with self._lock:
            life, self._life = self._life, None
            for door in self._doors:
                door.forget()
        if life is not None:
            life.close()

    def forked(self) -> None:
        """In a forked child: the thread does not exist here, and its client is the parent's."""
        self._lock, self._life = threading.Lock(), None
        for door in self._doors:
            door.forked()

    def _begin(self, transport: Transport) -> _Life | None:
        with self._lock:
            life = self._life
            if life is None or life.transport is not transport or life.is_over:
                reader = transport.lag_reader(offsets_topic(self._app))
                if reader is None:
                    return None
                if life is not None:
                    life.close()
                self._life = _Life(transport, reader, self._prefix, self._doors)
            return self._life


class _Life:
    """The looks over one transport."""

    def __init__(
        self, transport: Transport, reader: LagReader, prefix: bytes, doors: Iterable[Door]
    ) -> None:
        self.transport = transport
        self._reader = reader
        self._prefix = prefix
        self._watched = {door.plan.topic: _Watched(door) for door in doors}
        self._looking = threading.Lock()
        self._wanted = threading.Event()
        """Set by enqueues: look again soon."""
        self._closing = threading.Event()
        self._asked_s = time.monotonic()
        self.is_over = False
        """Whether it ended by itself."""
        if reader.takes_time:
            in_background(THREAD, self._run, self._ended)

    def asked(self, door: Door, now_s: float) -> float:
        """Somebody enqueues; returns when to say so again."""
        if self._reader.takes_time:
            self._asked_s = now_s
            self._wanted.set()
            return now_s + ASK_S
        with self._looking:
            self._look([self._watched[door.plan.topic]], now_s)
        return 0.0

    def close(self) -> None:
        """End; the thread disconnects by itself."""
        self._closing.set()
        self._wanted.set()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._wanted.clear()
                seen = self._look(list(self._watched.values()), time.monotonic())
                if self._closing.wait(LOOK_S if seen else FAILED_S):
                    break
                self._wanted.wait(IDLE_LOOK_S - LOOK_S)
                if time.monotonic() - self._asked_s > IDLE_END_S:
                    break
        finally:
            self.is_over = True
            self._reader.close()

    def _ended(self, error: BaseException) -> None:
        """A fault of ours: nothing is known from now on, and the next client begins anew."""
        self._blind(repr(error))

    def _look(self, wanted: Sequence[_Watched], now_s: float) -> bool:
        """Look once and tell the doors; False if the broker did not answer."""
        try:
            for record in self._reader.mirrors():
                self._take(record)
            looks = [(each, self._look_at(each)) for each in wanted]
        except Exception as error:  # noqa: BLE001 - whatever it is, enqueues go on without bounds
            self._blind(str(error) or repr(error))
            return False
        if self._closing.is_set():
            return True
        for each, look in looks:
            if look is None:
                each.door.blind(NO_WORKER)
            else:
                over = judge(each.door.bounds, look, each.pace.take(look))
                each.door.seen(over, time.monotonic() if self._reader.takes_time else now_s)
        return True

    def _blind(self, reason: str) -> None:
        if not self._closing.is_set():
            for each in self._watched.values():
                each.door.blind(reason)

    def _take(self, record: Record) -> None:
        value = record.value()
        # The groups of delayers have their mirrors there, too: most of the records.
        if value is None or not (record.key() or b"").startswith(self._prefix):
            return
        try:
            mirror = decode_mirror(value)
        except DecodeError:
            return  # of another release; the workers' log tells
        watched = self._watched.get(mirror.topic)
        if watched is not None:
            watched.lag.take(mirror._replace(at=record.timestamp()[1]))

    def _look_at(self, watched: _Watched) -> QueueLook | None:
        reader, places = self._reader, watched.places
        spans = {place[1]: span for place, span in reader.spans(places).items()}
        now_ms, age_max_ms = reader.broker_ms(), watched.door.bounds.age_max_ms
        if age_max_ms is None:
            return watched.lag.look(now_ms, spans, {})

        def by_age(age_ms: int) -> QueueLook | None:
            found = reader.since(places, now_ms - age_ms)
            late_before = {place[1]: offset for place, offset in found.items()}
            return watched.lag.look(now_ms, spans, late_before, age_ms)

        look = by_age(age_max_ms)
        if look is None or not look.late:
            return look
        age_ms = age_max_ms
        for times in TIMES_OVER:
            older = by_age(age_max_ms * times)
            if older is None or not older.late:
                break
            age_ms = age_max_ms * times
        return replace(look, age_ms=age_ms)
