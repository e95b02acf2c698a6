"""One process of the product, joined from its real parts as `roles` joins them.

Real are worker, delayer, closer, settler, takeover, pulse, control follower, clocks and executors;
Kafka is the network of the simulation, tables are in memory, and children are played.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.simulation import jobs
from tests.simulation.children import SimChildren
from tests.simulation.jobs import CATALOGUE, JUDGED
from tests.simulation.ledger import DELAYERS, OFFSETS, PLAN, RUNGS, WORKERS
from tests.simulation.loop import SimLoop
from tests.simulation.network import SimLog, SimSink, SimSource
from tests.simulation.primitives import threading
from tests.simulation.runtime import EPOCH_US
from tests.simulation.ticks import SCHEDULERS, TOPIC

from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.follow.control_topic import ControlFollower
from jobstream.kafka.follow.mirror_topic import KafkaMirrors
from jobstream.kafka.follow.schema_topic import SchemaFollower
from jobstream.roles import run_loop as leaving
from jobstream.roles.app_ticks import AppTicks, publish_declared
from jobstream.roles.breaker_news import BreakerNews
from jobstream.testing.memory_tables import MemoryTables
from jobstream.topics.names import control_topic, schemas_topic
from jobstream_processors.assembly import Parts
from jobstream_processors.assignment.pressure import Limits
from jobstream_processors.assignment.pulse import GuardedSink, Pulse
from jobstream_processors.assignment.takeover import Takeover
from jobstream_processors.delay.delayer import Delayer, DelayerParts
from jobstream_processors.schedule import scheduler as schedules
from jobstream_processors.settle.key_rows import EndsHere
from jobstream_processors.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.runtime import Process, Scheduler
    from tests.simulation.world import World

    from jobstream_processors.assembly import Neighbours
    from jobstream_processors.execute.running import Barred, Ended
    from jobstream_processors.ports import Listener

PLANS = {PLAN.name: PLAN}
SPECS = jobs.app.specs()
ORDERS_EVERY_S = SCHEMAS_EVERY_S = 3.0
SESSION_S, HEARTBEAT_S = 6.0, 1.0
CHILDREN = 1


class SimMachine:
    """The `Machine` port: the clocks of one process's machine."""

    def __init__(self, scheduler: Scheduler, process: Process) -> None:
        self._scheduler = scheduler
        self._process = process

    def monotonic_ms(self) -> int:
        process = self._process
        return (process.up_us + process.slept_before_us + self._scheduler.now_us) // 1_000

    def awake_s(self) -> float:
        process = self._process
        return (process.up_us + self._scheduler.now_us - process.slept_us) / 1e6

    def wall_ms(self) -> int:
        return (EPOCH_US + self._scheduler.now_us + self._process.wall_skew_us) // 1_000


class Member:
    """A process with the roles it has."""

    def __init__(self, world: World, process: Process, *, works: bool, delays: bool) -> None:
        self.world = world
        self.process = process
        self.works, self.delays = works, delays
        self.again = True
        """Whether a supervisor starts another in its place."""
        self.sources: list[SimSource] = []
        self.worker: Worker | None = None
        self.delayer: Delayer | None = None
        self.loop = SimLoop(world.scheduler, process)
        self.loop.set_exception_handler(self._on_error)
        self._stopping = threading.Event()
        self.clock = BrokerClock(SimMachine(world.scheduler, process))
        still_ms = round((SESSION_S - HEARTBEAT_S) * 1_000)
        self.pulse = Pulse(self.clock, still_ms)
        network = world.network
        self._reader = SimLog(network, process)
        self._sink = GuardedSink(SimSink(network, process, self.clock), self.pulse)
        self._main = self.loop.start(self._run())
        self._main.add_done_callback(self._over)

    def stop(self) -> None:
        """As SIGTERM."""
        self._end()

    def _end(self) -> None:
        self._stopping.set()
        if self.worker is not None:
            self.worker.stop()

    def kill(self) -> None:
        """As kill -9: nobody is told, and nothing of it goes on."""
        for source in self.sources:
            source.kill()
        self.world.scheduler.end(self.process)
        self._unwind()

    def _over(self, main: asyncio.Task[None]) -> None:
        if not self.process.dead:
            error = main.exception() if not main.cancelled() else None
            self.world.left(self, error)

    async def _run(self) -> None:
        broken: asyncio.Future[BaseException] = self.loop.create_future()
        tell = partial(leaving.tell, self.loop, broken)
        self.pulse.start(tell)
        mirrors = KafkaMirrors(self._reader, OFFSETS, 1)
        control = ControlFollower(self._reader, control_topic(jobs.app.name))
        await asyncio.to_thread(control.catch_up)
        control.follow(self.clock, tell, ORDERS_EVERY_S)
        # It asks for the topics' ids anew, too, by which all notice a topic that was replaced.
        topic = schemas_topic(jobs.app.name)
        schemas = SchemaFollower(self._reader, topic, JUDGED)  # type: ignore[arg-type] # all that it calls
        await asyncio.to_thread(schemas.catch_up)
        schemas.follow(SCHEMAS_EVERY_S, tell)
        work: list[asyncio.Task[None]] = []
        if self.delays:
            work.append(asyncio.create_task(self._delay(mirrors, control)))
        if self.works:
            work.append(asyncio.create_task(self._work(mirrors, control)))
        if self.world.ticks:
            work.append(asyncio.create_task(asyncio.to_thread(self._fire, mirrors)))
        try:
            ends: list[asyncio.Future[Any]] = [*work, broken]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            self._end()
            if (error := await leaving.drained(work, broken)) is not None:
                raise error
        finally:
            control.close()
            schemas.close()
            self._end()
            self.pulse.stop("the process has left")

    async def _work(self, mirrors: KafkaMirrors, control: ControlFollower) -> None:
        tables = MemoryTables(self._reader)
        takeover = Takeover(WORKERS, PLANS, self._sink, self._reader, tables, mirrors, self.clock)
        parts = Parts(
            specs=SPECS,
            plans=PLANS,
            catalogue=CATALOGUE,
            source=self._source(WORKERS, [PLAN.topic]),
            sink=self._sink,
            takeover=takeover,
            reader=self._reader,
            clock=self.clock,
            pulse=self.pulse,
            limits=Limits(
                window=self.world.window,
                handed_max=2 * self.world.window,
                commit_ms=2_000,
                drain_ms=self.world.drain_ms,
                rebalance_drain_ms=self.world.rebalance_drain_ms,
            ),
            concurrency=self.world.slots,
            children=CHILDREN,
            make_children=self._children,
            make_ends=EndsHere,
            failed=self.world.ledger.failed,
            name=self.process.name,
            tell_opening=BreakerNews(self._sink, jobs.app.name, self.process.name).tell,
        )
        self.worker = worker = Worker(parts)
        control.listen(self.clock.broker_ms(), worker.obey)
        if self._stopping.is_set():
            worker.stop()
        await worker.run()

    def _children(self, _parts: Parts, ended: Ended, barred: Barred, _: Neighbours) -> SimChildren:
        """Children that are no processes of the machine."""
        return SimChildren(self.loop, CHILDREN, ended, barred, self.clock)

    async def _delay(self, mirrors: KafkaMirrors, control: ControlFollower) -> None:
        parts = DelayerParts(
            group=DELAYERS,
            plans=PLANS,
            sink=self._sink,
            reader=self._reader,
            mirrors=mirrors,
            clock=self.clock,
            pulse=self.pulse,
            catalogue=CATALOGUE,
        )
        self.delayer = delayer = Delayer(parts)
        control.listen(self.clock.broker_ms(), delayer.obey)
        await asyncio.to_thread(self._carry, delayer, self._source(DELAYERS, list(RUNGS)))

    def _carry(self, delayer: Delayer, source: Callable[[Listener], SimSource]) -> None:
        delayer.join(source)
        while not self._stopping.is_set():
            delayer.cycle(self.world.poll_ms)
        delayer.close()

    def _fire(self, mirrors: KafkaMirrors) -> None:
        """As `SchedulerRole` does."""
        publish_declared(jobs.app, self._reader, self._sink)
        errors: list[BaseException] = []
        parts = schedules.ScheduleParts(
            group=SCHEDULERS,
            sink=self._sink,
            reader=self._reader,
            mirrors=mirrors,
            clock=self.clock,
            pulse=self.pulse,
            maker=AppTicks(jobs.app, CATALOGUE, self.clock.broker_ms),
            failed=errors.append,
        )
        firing = schedules.Scheduler(parts)
        firing.join(self._source(SCHEDULERS, [TOPIC]))
        while not self._stopping.is_set():
            firing.cycle(self.world.poll_ms)
            if errors:
                raise errors[0]
        firing.close()

    def _source(self, group: str, topics: list[str]) -> Callable[[Listener], SimSource]:
        def join(listener: Listener) -> SimSource:
            source = SimSource(self.world.network, self.process, self.clock, group, topics)
            source.listen(listener)
            self.sources.append(source)
            return source

        return join

    def _on_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self.process.dead:
            self.process.troubles.append(
                f"event loop: {context.get('exception')!r} {context['message']}"
            )

    def _unwind(self) -> None:
        """Let its coroutines end; nothing they do is heard."""
        scheduler = self.world.scheduler
        before, task = scheduler.process, scheduler.task
        scheduler.process, scheduler.task = self.process, None
        self.loop.set_exception_handler(lambda *_: None)
        for _ in range(100):
            left = asyncio.all_tasks(self.loop)
            if not left:
                break
            for each in left:
                each.cancel()
            self.loop.round()
        scheduler.process, scheduler.task = before, task
        self.loop.close()
