"""The delayer: carries waiting jobs down the delay ladder and, when due, to their queue.

A consumer group of its own over all rungs. At-least-once: a hop is acknowledged before its offset
is finished, and a hop made twice is the same delivery twice, which the dedup table absorbs. It
keeps no store: its place is the committed offset. It decodes no job, but for its id while any
cancel is in force: a cancelled job goes to its queue ahead of time, whose owner ends it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING

from jobstream_processors.core.ladder import EARLY_MS, RUNG_MS
from jobstream_processors.core.orders import NOTHING
from jobstream_processors.delay import hops
from jobstream_processors.delay.delay_meter import DelayMeter
from jobstream_processors.delay.group_member import GroupMember, MemberParts
from jobstream_processors.delay.rung import Hop, Rung, share_room
from jobstream_processors.errors import PublishFailed
from jobstream_processors.ports import CLOCK_KEY, Outgoing
from jobstream_processors.queue_plan import QueuePlan
from jobstream_processors.turn_meter import TurnMeter
from jobstream_schemas import Catalogue, DecodeError

if TYPE_CHECKING:
    from jobstream_processors.core.orders import Order, Orders
    from jobstream_processors.ports import TopicPartition

log = logging.getLogger("jobstream.delayer")

HOPS_MAX = 1_000
POLL_MS_MAX = 100


@dataclass(frozen=True, slots=True)
class DelayerParts(MemberParts):
    """What a delayer is made of; the composition root fills it in."""

    plans: Mapping[str, QueuePlan]
    catalogue: Catalogue
    meter: DelayMeter | None = None
    ready: Callable[[], object] | None = None
    """Called whenever what was assigned is taken up."""


class Delayer:
    """One member of the delay group. Used by one thread."""

    def __init__(self, parts: DelayerParts) -> None:
        self._clock = parts.clock
        self._catalogue = parts.catalogue
        self._mirrors = parts.mirrors
        self._meter = parts.meter
        turn = parts.meter.turn if parts.meter is not None else TurnMeter("")
        self._member = member = GroupMember(
            parts, turn, log, made=self._rung, changed=share_room, ready=parts.ready
        )
        self.join, self.close = member.join, member.close
        self._rungs = member.held
        self._places = {
            topic: (plan, name)
            for plan in parts.plans.values()
            for name, (topic, _) in plan.rungs.items()
        }
        self._cancels: Mapping[str, Order] = NOTHING.cancels
        """Cancelled jobs by id; empty nearly always, and then no job is looked into."""

    def obey(self, orders: Orders) -> None:
        """From now on `orders` hold: the next hop fetches a cancelled job. From any thread."""
        self._cancels = orders.cancels

    def cycle(self, timeout_ms: int = POLL_MS_MAX) -> int:
        """One turn: take up records, let go what is due, commit. Returns the hops made."""
        member = self._member
        member.poll(HOPS_MAX, self._wait_ms(timeout_ms))
        made = 0
        if self._knows_time():
            made = hops.settle(self._leaving(), member.publish, self._clock, self._meter)
        member.follow_up()
        if self._meter is not None:
            self._meter.fold()
        return made

    def next_ms(self) -> int | None:
        """Broker time of the next possible hop; None while nothing waits here."""
        times = [at for rung in self._rungs.values() if (at := rung.next_ms()) is not None]
        return min(times, default=None)

    def held(self) -> dict[tuple[str, str], int]:
        """Records kept in memory, by queue and rung. Safe from any thread."""
        found: dict[tuple[str, str], int] = {}
        for rung in list(self._rungs.values()):
            place = (rung.plan.name, rung.name)
            found[place] = found.get(place, 0) + len(rung)
        return found

    def _rung(self, partition: TopicPartition) -> Rung:
        return Rung(*self._places[partition[0]], partition)

    def _wait_ms(self, limit_ms: int) -> int:
        due = self.next_ms()
        return limit_ms if due is None else max(0, min(limit_ms, due - self._clock.broker_ms()))

    def _knows_time(self) -> bool:
        """Whether what waits here may leave by the clock; publishes a record to learn the time.

        What a delayer reads was written long ago, so it says nothing of now: by an old record's
        stamp, or by a wall clock that is wrong, jobs would be late by a rung or early.
        """
        if self.next_ms() is None or not self._clock.needs_report():
            return True
        try:
            self._member.publish([Outgoing(self._mirrors.topic, CLOCK_KEY, None)])
        except PublishFailed as error:
            log.warning("time_unknown", extra={"reason": str(error)})
            return False
        return True

    def _leaving(self) -> list[tuple[Rung, Hop]]:
        """At most HOPS_MAX records that may leave now, from the rung that is due longest first."""
        now_ms = self._clock.broker_ms()
        due = [(at, rung) for rung in self._rungs.values() if (at := rung.next_ms()) is not None]
        leaving: list[tuple[Rung, Hop]] = []
        for at, rung in sorted(due, key=itemgetter(0)):
            room = HOPS_MAX - len(leaving)
            if at > now_ms or not room:
                break
            leaving += [(rung, hop) for hop in self._due(rung, now_ms, room)]
        return leaving

    def _due(self, rung: Rung, now_ms: int, limit: int) -> list[Hop]:
        """What may leave one rung, without the records that a wrong clock would let spin."""
        found = rung.leave(now_ms, limit)
        if spinning := [hop for hop in found if rung.is_spinning(hop)]:
            rung.put_back(spinning, now_ms + RUNG_MS[rung.name] // 2, suspected=True)
            extra = {"partition": rung.source, "jobs": len(spinning)}
            log.error("rung_clock_suspect", extra=extra)
            found = [hop for hop in found if not rung.is_spinning(hop)]
        return [self._recalled(hop) for hop in found] if self._cancels else found

    def _recalled(self, hop: Hop) -> Hop:
        """The hop; straight to the queue if its job is cancelled and would wait for long yet."""
        if hop.rung is None or (hop.carried.delay_ms or 0) < EARLY_MS:
            return hop
        try:
            job_id = self._catalogue.decode(hop.waiting.record.value() or b"").id
        except DecodeError:
            return hop  # A worker judges it when it is due: here its schema is not known.
        if job_id not in self._cancels:
            return hop
        log.info("cancelled_job_fetched", extra={"job_id": job_id})
        return replace(hop, rung=None)
