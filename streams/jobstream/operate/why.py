"""Why one job stands where it stands, by what can be seen from outside: the log, marks and orders.

It writes nothing, and asks for no code of the app. What cannot be known from outside is left out.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.operate.history import QUEUED, WAITING, HistoryEntry
from jobstream.operate.job_events import type_by
from jobstream.operate.positions import standings
from jobstream.topics.names import worker_group
from jobstream_processors.core.back_pressure import unfinished
from jobstream_processors.core.ladder import wait_on
from jobstream_processors.core.orders import (
    BREAKER_OPENED,
    CANCEL,
    HOLD_BREAKER,
    OPEN,
    PAUSE_QUEUE,
    PAUSE_TYPE,
    SET_LIMIT,
    Order,
)
from jobstream_schemas import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobstream.operate.history import History
    from jobstream.operate.positions import GroupPlace
    from jobstream.operate.view import AppView

RATE_S = 2.0
"""Between two looks that tell how fast a partition goes on: workers tell once a second."""
SAME_KEY_MAX = 10_000
"""Records before a job that are read for its order key, at most."""
BREAKER, UNIQUE = "breaker", "unique"
"""What a job waits for whose breaker is open, or whose unique key another job has."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What stands before a job in its partition."""

    jobs: int
    """Unfinished ones."""
    of_key: int | None
    """Those of them with its order key; None if it has none, or they are too many to read."""
    seconds: float | None
    """How long they take at the rate of just now; None if nothing was finished meanwhile, or nobody
    looked."""
    is_timed: bool
    """Somebody looked how fast they go."""
    may_run: bool
    """A worker has announced that it may begin this job."""
    settled: bool
    """The record is finished: how, a row says, if there is one still."""


@dataclass(frozen=True, slots=True)
class Why:
    """Where one job stands and what for. Times are the brokers', in epoch milliseconds."""

    state: str
    """As `History.state` has it."""
    told: HistoryEntry
    """The record that tells the state."""
    attempt: int
    due_ms: int | None = None
    """When it may go on, on the ladder or in place."""
    in_place: bool = False
    """It waits for that time in its partition, with its order key held."""
    is_due: bool = False
    """That time is over."""
    ahead: Ahead | None = None
    """If it stands on its queue."""
    orders: tuple[Order, ...] = ()
    """Pauses, cancels and changed limits that concern it."""
    breakers: tuple[Order, ...] = ()
    """Breakers that are open now, if it waits for one: which one is its, only the code says."""
    same_unique: str | None = None
    """If it waits for its unique key: the first job on the queue that is not finished and has the
    key, too. One that waits on the ladder is not looked for."""
    workers: int | None = None
    """Members of the workers' group; None where nobody asked, since it does not matter."""
    letter_is_open: bool | None = None
    """Of a dead one."""


def why(
    view: AppView,
    found: History,
    orders: Sequence[Order],
    now_ms: Callable[[], int],
    *,
    rate_s: float = RATE_S,
) -> Why | None:
    """Why the job stands as it does; None if the log has nothing of it.

    Blocks while asking, and some seconds more where jobs stand before it. `orders` are all that are
    in force, `now_ms` gives broker time. With `rate_s` 0 it does not wait, nor tell how long the
    jobs before it take. Raises BrokerUnavailable, BrokerRefused, ReadStalled.
    """
    told = found.told_by
    if told is None:
        return None
    detail, state = told.detail, found.state
    attempt = detail.get("attempt", 1)
    concerned = tuple(order for order in orders if _concerns(order, found, told.queue))
    if state == WAITING:
        due_ms = wait_on(
            detail.get("rung", ""), told.at_ms, detail.get("due_ms"), detail.get("delay_ms")
        ).due_ms
        waits = detail.get("waits")
        open_ones = tuple(order for order in orders if waits == BREAKER and _is_open(order))
        same = _same_unique(view, found) if waits == UNIQUE else None
        return Why(
            state,
            told,
            attempt,
            due_ms,
            orders=concerned,
            breakers=open_ones,
            same_unique=same,
        )
    if state != QUEUED:
        letters = [e.what for e in found.entries if e.what in {"dead letter", "letter closed"}]
        is_open = letters[-1] == "dead letter" if letters else None
        return Why(state, told, attempt, letter_is_open=is_open)
    parked = found.facts.parked_at(detail.get("redrive", 0), detail.get("seq", 0))
    ahead = _ahead(view, found, told, rate_s)
    workers = None if ahead.settled else len(view.cluster.members(worker_group(view.app)))
    return Why(
        state,
        told,
        attempt if parked is None else parked.attempt,
        None if parked is None else parked.due_ms,
        in_place=parked is not None,
        is_due=parked is not None and parked.due_ms <= now_ms(),
        ahead=ahead,
        orders=concerned,
        workers=workers,
    )


def _ahead(view: AppView, found: History, told: HistoryEntry, rate_s: float) -> Ahead:
    topic, partition, offset = told.place
    place = (topic, partition)
    first = standings(view, "workers", [place])[place]
    began_s = time.monotonic()
    jobs = _jobs_before(first, offset)
    seconds, is_timed = None, bool(jobs and rate_s)
    if is_timed:
        threading.Event().wait(rate_s)
        later = standings(view, "workers", [place])[place]
        gone = _finished(later) - _finished(first)
        per_s = gone / (time.monotonic() - began_s)
        first, jobs = later, _jobs_before(later, offset)
        seconds = jobs / per_s if per_s > 0 else None
    mirror = first.mirror
    return Ahead(
        jobs=jobs,
        of_key=_of_key(view, found, first, offset) if jobs else None,
        seconds=seconds,
        is_timed=is_timed,
        may_run=mirror is not None and offset < mirror.may_begin,
        settled=first.is_finished(offset),
    )


def _jobs_before(at: GroupPlace, offset: int) -> int:
    finished = at.mirror.finished if at.mirror is not None else ()
    return unfinished(at.position, offset, finished)


def _finished(at: GroupPlace) -> int:
    finished = at.mirror.finished if at.mirror is not None else ()
    return at.position + sum(end - start for start, end in finished)


def _of_key(view: AppView, found: History, at: GroupPlace, offset: int) -> int | None:
    key = found.event.meta.get("order_key") if found.event is not None else None
    if key is None or offset - at.unfinished > SAME_KEY_MAX:
        return None
    count = 0
    for record in view.records({at.place: (at.unfinished, offset)}):
        if at.is_finished(record.offset() or 0):
            continue
        try:
            count += view.catalogue.decode(record.value() or b"").order_key == key
        except DecodeError:
            continue
    return count


def _same_unique(view: AppView, found: History) -> str | None:
    """The first unfinished job of its partition, other than itself, with its unique key."""
    event = found.event
    queued = next((entry for entry in found.entries if entry.what == "queued"), None)
    if event is None or queued is None or event.meta.get("unique_key") is None:
        return None
    place = queued.place[:2]
    at = standings(view, "workers", [place])[place]
    if at.high - at.unfinished > SAME_KEY_MAX:
        return None
    for record in view.records({place: (at.unfinished, at.high)}):
        if at.is_finished(record.offset() or 0):
            continue
        try:
            other = view.catalogue.decode(record.value() or b"")
        except DecodeError:
            continue
        is_same = other.unique_key == event.meta["unique_key"] and other.id != found.job_id
        if is_same and type_by(view.catalogue, other.fingerprint) == event.job_type:
            return other.id
    return None


def _concerns(order: Order, found: History, queue: str) -> bool:
    job_type = found.event.job_type if found.event is not None else None
    if order.kind == SET_LIMIT:
        # A limit is named after its type: TYPE/KIND and more.
        return order.subject.partition("/")[0] == job_type
    meant = {PAUSE_QUEUE: queue, PAUSE_TYPE: job_type, CANCEL: found.job_id}.get(order.kind)
    return order.subject == meant


def _is_open(order: Order) -> bool:
    held_open = order.kind == HOLD_BREAKER and bool(order.limits.get(OPEN))
    return held_open or order.kind == BREAKER_OPENED
