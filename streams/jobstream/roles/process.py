"""One process for one app: it learns what it must know, takes its roles, and runs them to the end.

A process usually takes every role (`every_role.py`).
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from jobstream.canary import canary_job as canary
from jobstream.errors import BrokerTooOld
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.client.green_threads import refuse_green_threads
from jobstream.kafka.follow.topic_reader import KafkaLog
from jobstream.kafka.produce.sink import KafkaSink
from jobstream.observe.observed import SINK, Observed
from jobstream.observe.server import serve
from jobstream.roles import run_loop as leaving
from jobstream.roles.briefing import brief
from jobstream.roles.every_role import ROLES, role_called
from jobstream.roles.footprint import few_arenas, memory_given_back, resting_collector
from jobstream.roles.ground import Ground, Wishes
from jobstream.roles.membership import Membership, watched_options
from jobstream.roles.stop_signals import SIGNALS, leave_at_once, signal_name
from jobstream_processors.assignment.pulse import GuardedSink
from jobstream_processors.errors import WorkerStopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jobstream.app import App
    from jobstream.roles.ground import Role
    from jobstream_processors.core.orders import Order

log = logging.getLogger("jobstream.roles")

LEFT_S_MIN = 2.0
"""What handlers share may be left so long, however long the drain took."""
CLASSIC_COSTS = "a rebalance takes seconds, a killed worker is missed after its session timeout"


class Roles:
    """One process's roles for one app. Made, run once, thrown away."""

    def __init__(
        self,
        app: App,
        queues: Iterable[str] | None = None,
        only: str | None = None,
        wishes: Wishes | None = None,
    ) -> None:
        self._app = app
        self._wishes = wishes or Wishes()
        self._settings = settings = app.settings
        names = tuple(ROLES) if only is None else (only,)
        self._roles = [role_called(name) for name in names]
        self._plans = {
            name: replace(plan, weight=self._wishes.weights.get(name, plan.weight))
            for name, plan in app.plans(queues).items()
        }
        self._clock = BrokerClock()
        options = settings.client_options()
        self._reader = KafkaLog(options)
        # Its own: nothing that waits for another topic holds up an order.
        self._orders_reader = KafkaLog(options)
        self._specs = {**app.specs(), canary.CANARY: canary.spec()}
        drain_s = settings.drain_ms / 1000
        self._observed = Observed(app.name, names, self._plans, self._specs, drain_s)
        self._observed.has_schedules = app.has_schedules
        if app.has_schedules:
            self._observed.declared = len(app.schedules.declared)
        told = watched_options(settings, self._observed, SINK)
        self._raw_sink = KafkaSink(options, self._clock, told)
        self._told = threading.Event()
        """Set for good once somebody asked this process to leave."""
        self._stopping = threading.Event()
        """Set when the roles that run now are to end, for whatever reason."""
        self.sent_away = False
        """An operator's order, and no signal, was the first to ask this process to leave."""
        self._end_s: float | None = None
        """When that was, by the monotonic clock."""
        self._taken: list[Role] = []
        self._ready: Callable[[], object] | None = None
        self._protocol = settings.group_protocol

    def run(self) -> None:
        """Serve until stopped; blocks. Raises what made going on impossible.

        The first SIGTERM, SIGINT or SIGHUP drains and leaves, a second stop leaves at once.
        """
        refuse_green_threads()
        few_arenas()
        seen = self._observed
        collectors = [*seen.collectors(), self._app.metrics()]
        where = serve(self._settings, self._app.name, seen.role, collectors, seen.probes())
        self._ready = partial(where.tell_ready, seen.role)
        # Nothing is committed that is not settled, so leaving at once loses nothing.
        with where, resting_collector(), SIGNALS.serving(self._on_signal, leave_at_once):
            self._run_to_the_end()
        log.info("stopped", extra={"role": seen.role})

    def _run_to_the_end(self) -> None:
        try:
            self._serve_with_some_protocol()
        except WorkerStopped:
            # Others own what this process held: what still waits to be sent must not be.
            self._raw_sink.abandon()
            raise
        else:
            # Only now that no call waits for an answer: closing waits for such calls.
            self._reader.close()
            self._orders_reader.close()
        finally:
            self._raw_sink.close()

    def _serve_with_some_protocol(self) -> None:
        try:
            self._serve()
        except (BrokerTooOld, WorkerStopped) as error:
            # Another role may be the first to end, stopped by the one that was refused.
            refusal = error.__cause__ if isinstance(error, WorkerStopped) else error
            if not isinstance(refusal, BrokerTooOld) or self._protocol == "classic":
                raise
            if self._told.is_set():
                return
            log.warning("classic_protocol", extra={"reason": str(refusal), "costs": CLASSIC_COSTS})
            self._protocol = "classic"
            self._serve()

    def stop(self) -> None:
        """Drain and leave; returns at once. Safe from any thread, also before `run`."""
        self._told.set()
        self._end()

    def _end(self) -> None:
        """Let the roles that run now end; whether others follow, `run` knows."""
        self._observed.leaving = True
        if self._end_s is None:
            self._end_s = time.monotonic()
        self._stopping.set()
        for role in self._taken:
            role.stop()

    def _left_s(self) -> float:
        """What is left of the drain, but LEFT_S_MIN at least."""
        drain_s = self._settings.drain_ms / 1000
        gone_s = time.monotonic() - self._end_s if self._end_s is not None else 0.0
        return max(LEFT_S_MIN, drain_s - gone_s)

    def _serve(self) -> None:
        # In this order: a stop that comes meanwhile ends the old roles or the new ones.
        self._stopping, self._taken, self._end_s = threading.Event(), [], None
        self._observed.leaving = False
        if self._told.is_set():
            self._end()
        membership = Membership(
            self._app.name, self._settings, self._protocol, self._clock, self._observed
        )
        try:
            leaving.run(self._run(membership))
        finally:
            membership.pulse.stop("the process has left")

    async def _run(self, membership: Membership) -> None:
        loop = asyncio.get_running_loop()
        broken: asyncio.Future[BaseException] = loop.create_future()
        tell = partial(leaving.tell, loop, broken)
        membership.pulse.start(tell)
        ground = await leaving.unless(self._told.is_set, self._prepare(membership))
        if ground is None:
            return
        ground.briefing.follow(self._clock, tell)
        work = [asyncio.create_task(role.run()) for role in self._taken]
        rest = asyncio.create_task(memory_given_back())
        try:
            ends: list[asyncio.Future[Any]] = [*work, broken]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            self._end()
            if (error := await leaving.drained(work, broken)) is not None:
                raise error
        finally:
            rest.cancel()
            ground.briefing.close()
            self._end()

    async def _prepare(self, membership: Membership) -> Ground:
        """Learn what must be known before the first job runs, and take the roles."""
        readers, seen = (self._reader, self._orders_reader), self._observed
        sink = GuardedSink(self._raw_sink, membership.pulse)
        briefing = await brief(self._app, self._plans, readers, sink, membership, observed=seen)
        ground = Ground(
            app=self._app,
            plans=self._plans,
            specs=self._specs,
            clock=self._clock,
            reader=self._reader,
            sink=sink,
            observed=seen,
            membership=membership,
            briefing=briefing,
            stopping=self._stopping,
            wishes=self._wishes,
            left_s=self._left_s,
            leave=self._leave,
        )
        grounds = [replace(ground, ready=self._ready), *[ground] * (len(self._roles) - 1)]
        taken = [role(own) for role, own in zip(self._roles, grounds, strict=True)]
        for role in taken:
            await role.check()
        self._taken = taken
        return ground

    def _leave(self, entry: Order) -> None:
        if not self._told.is_set():
            self.sent_away = True
            log.info("draining", extra={"who": entry.who, "why": entry.why})
            self.stop()

    def _on_signal(self, number: int) -> None:
        log.info("draining", extra={"signal": signal_name(number)})
        self.stop()
