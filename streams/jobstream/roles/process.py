"""The roles a process can take, joined from their parts and run until told to stop.

`worker` runs jobs, `delayer` carries waiting ones down the ladder. A process usually takes both.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from jobstream.canary import canary_job as canary
from jobstream.cli.log_output import log_as_here
from jobstream.dedup.rocks import ShardMemory
from jobstream.dedup.slots import claim_slot
from jobstream.dedup.table import Table
from jobstream.errors import BrokerTooOld
from jobstream.kafka.client.admin import Admin
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.consume.hearing import Hearing
from jobstream.kafka.consume.member_options import rebalance_ms
from jobstream.kafka.consume.source import KafkaSource
from jobstream.kafka.follow.control_topic import ControlFollower
from jobstream.kafka.follow.mirror_topic import KafkaMirrors
from jobstream.kafka.follow.schema_topic import SchemaFollower
from jobstream.kafka.follow.topic_reader import KafkaLog
from jobstream.kafka.produce.sink import KafkaSink
from jobstream.observe.observed import DELAYER, SINK, WORKER, Observed, worker_name
from jobstream.observe.server import serve
from jobstream.observe.spans import tracing_of
from jobstream.roles import run_loop as leaving
from jobstream.roles.footprint import few_arenas, memory_given_back, resting_collector
from jobstream.roles.green_threads import refuse_green_threads
from jobstream.roles.handler_warnings import warn_of_handlers
from jobstream.roles.open_files import raised_for
from jobstream.roles.start_check import refuse_undecodable
from jobstream.roles.stop_signals import SIGNALS, leave_at_once, signal_name
from jobstream.roles.usable_cores import default_children
from jobstream.topics.apply import verify
from jobstream.topics.names import (
    control_topic,
    delay_group,
    offsets_topic,
    schemas_topic,
    worker_group,
)
from jobstream.topics.sessions import HEARTBEAT, SESSION
from jobstream_processors.assembly import Parts
from jobstream_processors.assignment.pressure import Limits
from jobstream_processors.assignment.pulse import GuardedSink, Pulse
from jobstream_processors.assignment.takeover import Takeover
from jobstream_processors.background import aside
from jobstream_processors.delay.delayer import Delayer, DelayerParts
from jobstream_processors.errors import WorkerStopped
from jobstream_processors.watch.failure_hooks import Failures
from jobstream_processors.worker import Worker
from jobstream_schemas import Catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from jobstream.app import App
    from jobstream_processors.assignment.places import Mirrors
    from jobstream_processors.ports import Listener

log = logging.getLogger("jobstream.roles")

SCHEMAS_EVERY_S = 2.0
STILL_MS_MIN = 500
SESSION_FIX = "set it with: jobstream topics apply MODULE:APP; the broker may have a limit"
CLASSIC_COSTS = "a rebalance takes seconds, a killed worker is missed after its session timeout"


class _Read(NamedTuple):
    """What a process knows before it serves."""

    mirrors: Mirrors
    catalogue: Catalogue
    schemas: SchemaFollower
    cluster_id: str


class Roles:
    """One process's roles for one app. Made, run once, thrown away."""

    def __init__(
        self,
        app: App,
        queues: Iterable[str] | None = None,
        only: str | None = None,
        give_up: Callable[[BaseException], object] | None = None,
        *,
        tracebacks: bool = False,
    ) -> None:
        self._app = app
        self._tracebacks = tracebacks
        self._give_up = give_up
        """Ends this process from another thread while a handler holds the event loop."""
        self._settings = app.settings
        self._roles = (WORKER, DELAYER) if only is None else (only,)
        self._plans = app.plans(queues)
        self._options = app.settings.client_options()
        self._clock = BrokerClock()
        self._reader = KafkaLog(self._options)
        # Its own: nothing that waits for another topic holds up an order.
        self._orders_reader = KafkaLog(self._options)
        self._specs = {**app.specs(), canary.CANARY: canary.spec()}
        drain_s = app.settings.drain_ms / 1000
        self._observed = Observed(app.name, self._roles, self._plans, self._specs, drain_s)
        self._raw_sink = KafkaSink(self._options, self._clock, self._watched(SINK))
        self._still_ms = _still_ms(app.settings.session_timeout_ms, app.settings.heartbeat_ms)
        self._pulse: Pulse
        self._sink: GuardedSink
        self._told = threading.Event()
        """Set for good once somebody asked this process to leave."""
        self._stopping = threading.Event()
        """Set when the roles that run now are to end, for whatever reason."""
        self._worker: Worker | None = None
        self._control: ControlFollower
        self._protocol = app.settings.group_protocol

    def run(self) -> None:
        """Serve until stopped; blocks. Raises what made going on impossible.

        The first SIGTERM, SIGINT or SIGHUP drains and leaves, a second stop leaves at once.
        """
        refuse_green_threads()
        few_arenas()
        seen, settings = self._observed, self._settings
        collectors = [*seen.collectors(), self._app.metrics()]
        where = serve(settings, self._app.name, seen.role, collectors, seen.probes())
        self._tell_ready = partial(where.tell_ready, seen.role)
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
            # Only now that nobody waits for an answer: closing waits for those who do.
            self._reader.close()
            self._orders_reader.close()
        finally:
            self._raw_sink.close()

    def _serve_with_some_protocol(self) -> None:
        try:
            self._serve()
        except BrokerTooOld as error:
            if self._protocol == "classic":
                raise
            if self._told.is_set():
                return
            log.warning("classic_protocol", extra={"reason": str(error), "costs": CLASSIC_COSTS})
            self._protocol = "classic"
            self._serve()

    def stop(self) -> None:
        """Drain and leave; returns at once. Safe from any thread, also before `run`."""
        self._told.set()
        self._end()

    def _end(self) -> None:
        """Let the roles that run now end; whether others follow, `run` knows."""
        self._observed.leaving = True
        self._stopping.set()
        if (worker := self._worker) is not None:
            worker.stop()

    def _serve(self) -> None:
        # In this order: a stop that comes meanwhile ends the old roles or the new ones.
        self._stopping, self._worker = threading.Event(), None
        self._observed.leaving = False
        if self._told.is_set():
            self._end()
        self._pulse = Pulse(self._clock, self._still_ms)
        self._sink = GuardedSink(self._raw_sink, self._pulse)
        try:
            leaving.run(self._run())
        finally:
            self._pulse.stop("the process has left")

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        broken: asyncio.Future[BaseException] = loop.create_future()
        tell = partial(leaving.tell, loop, broken)
        self._pulse.start(tell)
        read = await leaving.unless(self._told.is_set, self._start())
        if read is None:
            return
        mirrors, catalogue, follower, cluster = read
        self._control.follow(self._clock, tell)
        follower.follow(SCHEMAS_EVERY_S, tell)
        work = []
        if DELAYER in self._roles:
            work.append(asyncio.create_task(self._delay(mirrors, catalogue)))
        if WORKER in self._roles:
            work.append(asyncio.create_task(self._work(mirrors, catalogue, cluster)))
        rest = asyncio.create_task(memory_given_back())
        try:
            ends: list[asyncio.Future[Any]] = [*work, broken]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            self._end()
            if (error := await leaving.drained(work, broken)) is not None:
                raise error
        finally:
            rest.cancel()
            self._control.close()
            follower.close()
            self._end()

    async def _start(self) -> _Read:
        """Verify the topics, and read what must be known before the first job runs."""
        mirrors = await aside("jobstream-start", self._mirrors)
        self._control = ControlFollower(self._orders_reader, control_topic(self._app.name))
        await aside("jobstream-start", self._control.catch_up)
        catalogue, follower = await aside("jobstream-start", self._schemas)
        if WORKER in self._roles:
            await refuse_undecodable(self._app, self._plans.values(), self._specs, catalogue)
        cluster = await aside("jobstream-start", Admin(self._settings).cluster)
        return _Read(mirrors, catalogue, follower, cluster.id)

    def _mirrors(self) -> Mirrors:
        queues = [self._app.queues[name] for name in self._plans]
        admin = Admin(self._settings)
        verify(admin, self._app.name, queues)
        if self._protocol == "consumer":
            self._believe(admin)
        else:
            self._pulse.narrow(self._still_ms)
        self._observed.verified = True
        topic = offsets_topic(self._app.name)
        mirrors = KafkaMirrors(self._reader, topic, self._reader.partitions(topic))
        mirrors.catch_up()  # So that the first take-over need not.
        return mirrors

    def _believe(self, admin: Admin) -> None:
        """A group's session is what the broker has, whatever this process was told to want."""
        wanted_ms = self._settings.session_timeout_ms
        groups = (worker_group(self._app.name), delay_group(self._app.name))
        for group, told in admin.group_configs(*groups).items():
            if SESSION not in told or HEARTBEAT not in told:
                continue  # This client may not see them.
            session_ms = int(told[SESSION])
            self._pulse.narrow(_still_ms(session_ms, int(told[HEARTBEAT])))
            if session_ms < wanted_ms:
                extra = {"group": group, "session_ms": session_ms, "wanted_ms": wanted_ms}
                log.warning("session_is_shorter", extra={**extra, "fix": SESSION_FIX})

    def _schemas(self) -> tuple[Catalogue, SchemaFollower]:
        """Every writer schema known so far, and who learns the next; blocks to read them."""
        catalogue = Catalogue()
        for schema in (*self._app.schemas(), canary.codec().schema):
            catalogue.register(schema)
        topic = schemas_topic(self._app.name)
        follower = SchemaFollower(self._reader, topic, catalogue, self._sink)
        follower.catch_up()
        return catalogue, follower

    async def _work(self, mirrors: Mirrors, catalogue: Catalogue, cluster_id: str) -> None:
        app = self._app
        warn_of_handlers(app, self._specs.values(), self._plans)
        shards = sum(app.queues[name].partitions for name in self._plans)
        memory = ShardMemory(row_files=raised_for(shards))
        with claim_slot(app.settings.state_dir, app.name, cluster_id) as slot:
            seen, now_ms = self._observed.progress, self._clock.broker_ms
            tables = Table(slot, self._reader, seen, memory=memory, now_ms=now_ms)
            takeover = Takeover(
                worker_group(app.name),
                self._plans,
                self._sink,
                self._reader,
                tables,
                mirrors,
                self._clock,
            )
            failures = Failures(app.failure_callbacks)
            worker = Worker(self._parts(catalogue, takeover, failures))
            self._control.listen(self._clock.broker_ms(), worker.obey)
            self._worker = self._observed.worker = worker
            if self._stopping.is_set():
                worker.stop()
            try:
                # The name is what `control quiet` asks for; it is nowhere else in the log.
                told = {"worker": worker_name(), "queues": [*self._plans]}
                log.info("worker_started", extra=told)
                await worker.run()
            finally:
                await aside("jobstream-told", failures.close)

    def _parts(self, catalogue: Catalogue, takeover: Takeover, failures: Failures) -> Parts:
        settings = self._settings
        return Parts(
            specs=self._specs,
            plans=self._plans,
            catalogue=catalogue,
            source=self._source(
                WORKER, worker_group(self._app.name), [p.topic for p in self._plans.values()]
            ),
            sink=self._sink,
            takeover=takeover,
            reader=self._reader,
            clock=self._clock,
            pulse=self._pulse,
            limits=Limits(
                window=settings.window,
                commit_ms=settings.commit_interval_ms,
                drain_ms=settings.drain_ms,
                rebalance_drain_ms=settings.rebalance_drain_ms,
                rebalance_ms=rebalance_ms(self._settings.rebalance_drain_ms),
            ),
            concurrency=settings.concurrency,
            children=settings.children or default_children(),
            child_begins=log_as_here(),
            tracing=tracing_of(self._app.name, settings),
            failed=failures.tell if self._app.failure_callbacks else None,
            tracebacks=self._tracebacks,
            meter=self._observed.meter,
            ready=self._tell_ready,
            name=worker_name(),
            give_up=self._give_up,
            stuck_max=max(1, settings.concurrency // 2),
        )

    def _watched(self, client: str) -> dict[str, Any]:
        """Options that make a client tell statistics, where somebody may ask for them."""
        asked = self._settings.metrics_port is not None
        return self._observed.stats.options(client) if asked else {}

    def _source(
        self, client: str, group: str, topics: Sequence[str]
    ) -> Callable[[Listener], KafkaSource]:
        def join(listener: Listener) -> KafkaSource:
            hearing = Hearing()
            if client == WORKER:
                self._pulse.hear_by(hearing.is_silent)
            source = KafkaSource(
                {**self._options, **hearing.options(self._watched(client), self._still_ms)},
                group,
                topics,
                self._clock,
                protocol=self._protocol,
                session_ms=self._settings.session_timeout_ms,
                heartbeat_ms=self._settings.heartbeat_ms,
                turn=self._observed.turn(client),
                rebalance_ms=rebalance_ms(self._settings.rebalance_drain_ms),
                hearing=hearing,
            )
            source.listen(listener)
            return source

        return join

    async def _delay(self, mirrors: Mirrors, catalogue: Catalogue) -> None:
        topics = [topic for plan in self._plans.values() for topic, _ in plan.rungs.values()]
        parts = DelayerParts(
            group=delay_group(self._app.name),
            plans=self._plans,
            sink=self._sink,
            reader=self._reader,
            mirrors=mirrors,
            clock=self._clock,
            pulse=self._pulse,
            catalogue=catalogue,
            meter=self._observed.delays,
            ready=self._tell_ready if self._roles == (DELAYER,) else None,
        )
        delayer = self._observed.delayer = Delayer(parts)
        self._control.listen(self._clock.broker_ms(), delayer.obey)
        source = self._source(DELAYER, parts.group, topics)
        await aside("jobstream-delay", self._carry, delayer, source)

    def _carry(self, delayer: Delayer, source: Callable[[Listener], KafkaSource]) -> None:
        delayer.join(source)
        while not self._stopping.is_set():
            delayer.cycle()
        delayer.close()

    def _on_signal(self, number: int) -> None:
        log.info("draining", extra={"signal": signal_name(number)})
        self.stop()


def _still_ms(session_ms: int, heartbeat_ms: int) -> int:
    """How long this process may stand still and still own its partitions."""
    # Others take over a session after the last heartbeat, which is up to one interval old.
    return max(session_ms - heartbeat_ms, STILL_MS_MIN)
