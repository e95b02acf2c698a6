"""The compacted control topic: entries to records, and a follower that knows what is in force.

It reads, and tells its listeners, which decide what to do. An entry that can't be read is left out
with one warning, and what is known stays in force while the topic can't be read.
"""

from __future__ import annotations

import logging
import threading
from itertools import islice
from typing import TYPE_CHECKING

from jobstream.kafka.follow.compacted import Compacted
from jobstream_processors.core.orders import CANCEL, DRAIN, NOTHING, Order, check, in_force
from jobstream_processors.errors import InvalidOption
from jobstream_processors.ports import Outgoing
from jobstream_schemas import (
    ControlRecord,
    DecodeError,
    control_key,
    decode_control,
    encode_control,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.core.orders import Orders
    from jobstream_processors.ports import Clock, Log, Record

log = logging.getLogger("jobstream.kafka")

EVERY_S = 0.5
"""How often workers look: a change is seen everywhere within two seconds."""
ENTRIES_MAX = 50_000
"""Entries kept by a process. Beyond, the oldest cancels are dropped, and it says so."""


def told_record(topic: str, control: ControlRecord) -> Outgoing:
    """The record that puts an entry in force."""
    return Outgoing(topic, control_key(control.kind, control.subject), encode_control(control), 0)


def lifted_record(topic: str, kind: str, subject: str) -> Outgoing:
    """The record that ends an entry, if there is one."""
    return Outgoing(topic, control_key(kind, subject), None, 0)


def entry_of(record: Record) -> Order:
    """The entry in a record; raises DecodeError or InvalidOption."""
    said = decode_control(record.value() or b"")
    check(said.kind, said.subject, said.who, said.why, said.lasts_ms, said.limits)
    if record.key() != control_key(said.kind, said.subject):
        message = f"control entry about {said.kind}:{said.subject} stands under another key"
        raise DecodeError(message)
    at_ms = record.timestamp()[1]
    kind, subject, who, why, lasts_ms, limits = said
    return Order(kind, subject, who, why, at_ms, at_ms + lasts_ms, limits)


def _summary(orders: Orders) -> dict[str, object]:
    """What a log line says of it."""
    return {
        "paused_queues": sorted(orders.queues),
        "paused_types": sorted(orders.types),
        "cancelled_jobs": len(orders.cancels),
        "quiet_workers": sorted(entry.subject for entry in orders.quiets),
        "drained_workers": sorted(entry.subject for entry in orders.drains),
        "held_breakers": sorted(orders.breakers),
    }


class ControlFollower(Compacted):
    """Knows the entries of one app's control topic. Safe to use from several threads."""

    THREAD = "jobstream-control"
    UNREAD = "control_unread"
    IDS_EVERY = 4

    def __init__(self, reader: Log, topic: str) -> None:
        super().__init__(reader, topic)
        self._entries: dict[bytes, Order] = {}
        self._told: Orders = NOTHING
        self._listeners: list[Callable[[Orders], None]] = []
        self._from_start = True
        """What is read now may have stood in the topic for long."""
        self._drains: dict[bytes, Order] = {}
        """Drains that nobody heard of yet."""
        self._drain_listeners: list[Callable[[Order], None]] = []
        self._telling = threading.Lock()

    def entries(self) -> list[Order]:
        """What was read so far, expired entries too, oldest first."""
        with self._lock:
            return list(self._entries.values())

    def in_force(self, now_ms: int) -> Orders:
        """What holds at that moment of broker time, by what was read so far."""
        return in_force(self.entries(), now_ms)

    def listen(self, now_ms: int, tell: Callable[[Orders], None]) -> None:
        """Call `tell` with what is in force now, and by `tell_changes` from then on.

        Those who listen already hear of it, too, if it is news: what was told last is told to all.
        """
        with self._telling:
            self._tell(now_ms)
            self._listeners.append(tell)
            tell(self._told)

    def tell_changes(self, now_ms: int) -> None:
        """Tell every listener, if what is in force is not what they were told last.

        An entry came, was lifted, or expired.
        """
        with self._telling:
            self._tell(now_ms)
            self._tell_drains(now_ms)

    def listen_for_drains(self, tell: Callable[[Order], None]) -> None:
        """Call `tell` by `tell_changes` with each drain that is appended from now on.

        Never with one that stood in the topic when this follower, or a topic made anew, was first
        read to its end: a worker that came back under its name would leave again and again.
        """
        with self._telling, self._lock:
            self._drains.clear()
            self._drain_listeners.append(tell)

    def _tell_drains(self, now_ms: int) -> None:
        with self._lock:
            drains, self._drains = self._drains, {}
        for entry in drains.values():
            if entry.is_in_force(now_ms):
                for tell in self._drain_listeners:
                    tell(entry)

    def _tell(self, now_ms: int) -> None:
        current = self.in_force(now_ms)
        if current != self._told:
            self._told = current
            for tell in self._listeners:
                tell(current)
            log.info("orders_changed", extra=_summary(current))

    def follow(
        self,
        clock: Clock,
        failed: Callable[[BaseException], object],
        interval_s: float = EVERY_S,
    ) -> None:
        """Catch up and tell changes once per interval, from a thread of its own, until closed.

        What a listener raises is given to `failed`: a process that hears no more orders must not
        go on as if it did.
        """
        self._keep_up(interval_s, failed, lambda: self.tell_changes(clock.broker_ms()))

    def _begin_anew(self) -> None:
        """What the topic before this one said is gone."""
        if self._topic_id:
            extra = {"topic": self.topic, "entries": len(self._entries)}
            log.warning("control_topic_made_anew", extra=extra)
        with self._lock:
            self._entries.clear()
            self._drains.clear()
            self._from_start = True

    def _caught_up(self) -> None:
        self._from_start = False

    def _take(self, record: Record) -> None:
        key = record.key() or b""
        # Taken out first: the order of the entries is the order of their appends.
        self._entries.pop(key, None)
        self._drains.pop(key, None)
        if record.value() is None:
            return
        try:
            self._entries[key] = entry = entry_of(record)
            if entry.kind == DRAIN and not self._from_start:
                self._drains[key] = entry
        except (DecodeError, InvalidOption) as error:
            extra = {"key": key[:200].decode(errors="replace"), "reason": str(error)}
            log.warning("control_entry_skipped", extra=extra)
        if len(self._entries) > ENTRIES_MAX:
            self._drop()

    def _drop(self) -> None:
        cancels = (key for key, entry in self._entries.items() if entry.kind == CANCEL)
        oldest = list(islice(cancels, ENTRIES_MAX // 10))
        for key in oldest:
            del self._entries[key]
        log.error("control_entries_dropped", extra={"cancels": len(oldest)})
