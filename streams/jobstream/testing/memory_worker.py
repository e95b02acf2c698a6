"""A worker and a delayer in the caller's thread, on the broker in memory.

The same feed, engine, settlement and delayer as in a worker process, driven by `turn` instead of
threads. It never moves the clock, except a little after a publish that failed.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.follow.control_topic import ControlFollower
from jobstream.kafka.follow.mirror_topic import KafkaMirrors
from jobstream.kafka.follow.schema_topic import SchemaFollower
from jobstream.observe.metrics.metric import EDGES
from jobstream.observe.spans.of_workers import tracing_of
from jobstream.roles.breaker_news import BreakerNews
from jobstream.roles.run_loop import until_done
from jobstream.testing.in_process import HandlersOwnTime, NoChildren
from jobstream.testing.memory_log import MemoryLog
from jobstream.testing.memory_scheduler import scheduler_in_memory
from jobstream.testing.memory_shared import SharedInMemory
from jobstream.testing.memory_sink import MemorySink
from jobstream.testing.memory_source import MemorySource
from jobstream.testing.memory_start import catalogue_of, limits_of
from jobstream.testing.memory_tables import MemoryTables
from jobstream.topics.names import (
    control_topic,
    delay_group,
    offsets_topic,
    schemas_topic,
    worker_group,
)
from jobstream_processors.assembly import Assembly, Parts
from jobstream_processors.assignment.pulse import Pulse
from jobstream_processors.assignment.takeover import Takeover
from jobstream_processors.core.deaths import FLOOD
from jobstream_processors.delay.delay_meter import DelayMeter
from jobstream_processors.delay.delayer import Delayer, DelayerParts
from jobstream_processors.engine.gates.pause import PAUSED, TYPE_PAUSED
from jobstream_processors.engine.waiting import UNANNOUNCED
from jobstream_processors.errors import PublishFailed
from jobstream_processors.job_types import with_resources
from jobstream_processors.meter import Meter
from jobstream_processors.settle.key_rows import EndsHere
from jobstream_processors.watch.on_failure import call, failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from jobstream.app import App
    from jobstream.testing.memory_broker import MemoryBroker
    from jobstream_processors.assignment.lane import Arrival, Lane
    from jobstream_processors.core.decide import DeadLetter, Decision
    from jobstream_processors.core.orders import Order, Orders
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Decided, Delivery
    from jobstream_processors.ports import Clock, Record
    from jobstream_processors.resources import Resources
    from jobstream_processors.schedule.scheduler import Scheduler
    from jobstream_processors.settle.thread import Settles
    from jobstream_schemas import Catalogue

_T = TypeVar("_T")
# A worker whose thread always polls in time: the clock jumps, the process does not freeze.
_SESSION_MS = 1 << 62
# But it notices when its group says nothing: by default a session less a heartbeat.
_SILENT_MS = 5_000
_WAIT_S = 0.02
_RETRY_MS = 50
_PREPARE_TRIES = 100


class MemoryWorker:
    """One member of each of the app's groups. Used by one thread, outside any event loop.

    `clock` is what it takes for the time; by default the broker's, and real time for handlers. A
    `BrokerClock` learns from what the broker stamps, as in a worker process.
    """

    _settler: Settles
    sent_away: list[Order]
    """Orders to drain: with one it is to be closed, and another worker to be made."""

    def __init__(
        self,
        app: App,
        broker: MemoryBroker,
        clock: Clock | None = None,
        resources: Resources | None = None,
    ) -> None:
        self._broker = broker
        self._clock = clock if clock is not None else HandlersOwnTime(broker.clock)
        self._leaving = False
        learning = clock if isinstance(clock, BrokerClock) else None
        sink, reader = MemorySink(broker, learning), MemoryLog(broker)
        self._loop = asyncio.new_event_loop()
        self._shared = SharedInMemory(app.lifespans, self._run, self._loop, resources)
        plans, offsets = app.plans(), offsets_topic(app.name)
        mirrors = KafkaMirrors(reader, offsets, broker.topics()[offsets])
        self._catalogue = catalogue_of(app)
        self._schemas = SchemaFollower(reader, schemas_topic(app.name), self._catalogue, sink)
        self._control = ControlFollower(reader, control_topic(app.name))
        self._pulse = pulse = Pulse(self._clock, _SESSION_MS)
        group, tables = worker_group(app.name), MemoryTables(reader)
        source = MemorySource(broker, group, [plan.topic for plan in plans.values()], learning)
        pulse.hear_by(source.is_silent, _SILENT_MS)
        self.meter = Meter(group, plans, app.specs(), EDGES)
        """Its counts, as of a worker process."""
        self._callbacks, self._death_callbacks = app.failure_callbacks, app.death_callbacks
        self._parts = parts = Parts(
            specs=with_resources(app.specs(), self._shared.resources),
            plans=plans,
            catalogue=self._catalogue,
            source=source.listen,
            sink=sink,
            takeover=Takeover(group, plans, sink, reader, tables, mirrors, self._clock),
            reader=reader,
            clock=self._clock,
            pulse=pulse,
            limits=limits_of(app.settings, broker.rebalance_ms),
            concurrency=app.settings.concurrency,
            make_children=NoChildren,
            make_ends=EndsHere,
            tracing=tracing_of(app.name, app.settings),
            meter=self.meter,
            failed=self._tell if self._callbacks else None,
            died=self._tell_death if self._death_callbacks else None,
            tell_opening=BreakerNews(sink, app.name, "memory", lambda write: write()).tell,
        )
        self._decided: list[Decided] = []
        self._parted: list[Lane] = []
        """Lanes that ended before the broker had answered all that they sent."""
        self._coming: list[Arrival] = []
        """What waits for these answers, as it would in a worker process."""
        self._woken = asyncio.Event()
        self._joined = self._run(self._join(parts))
        self._engine, self._feed = self._joined.engine, self._joined.feed
        # On one thread nothing is carried: the feed calls the parts themselves.
        self.begin, self.remains = self._engine.begin, self._joined.remains
        self.drain, self.cut = self._joined.drain, self._joined.cut
        rungs = self._rungs(delay_group(app.name), mirrors)
        self._delayer = Delayer(rungs)
        self._feed.join(parts.source)
        topics = [topic for plan in plans.values() for topic, _ in plan.rungs.values()]
        self._delayer.join(MemorySource(broker, rungs.group, topics, learning).listen)
        self._scheduler: Scheduler | None = None
        if app.has_schedules:
            self._scheduler, self.ticks = scheduler_in_memory(
                app, broker, parts, mirrors, self._catalogue, learning
            )
            self._schemas.catch_up()
        self._hear_orders()

    def turn(self) -> bool:
        """Do what can be done at this moment; False if that was nothing.

        Raises LifespanFailed where a worker would leave, since a lifespan ended while jobs ran.
        """
        self._schemas.catch_up()
        self._control.catch_up()
        self._control.tell_changes(self._clock.broker_ms())
        moved = self._come() + self._feed.cycle(0) + self._delayer.cycle(0)
        if self._scheduler is not None:
            moved += self._scheduler.cycle(0)
        worked = self._run(self._work())
        self._shared.check()
        return bool(moved) or worked or self._joined.closer.sweep() > 0

    def next_ms(self, *, expiry: bool) -> int | None:
        """Broker time at which something that waits here may go on; None if nothing waits.

        It may be past already: for a wait that is not kept by time. The end of an operator's pause
        and the ticks of schedules, which never end, count with `expiry` only.
        """
        now_ms = self._clock.broker_ms()
        since_ms = now_ms - self._clock.monotonic_ms()
        waiting = self._joined.judge.inflight.values()
        times = [d.due_ms + since_ms for d in waiting if d.due_ms is not None]
        if (turn_ms := self._engine.turns.next_ms()) is not None:
            times.append(turn_ms + since_ms)
        hop_ms = self._delayer.next_ms()
        if hop_ms is not None:
            times.append(hop_ms)
        if expiry:
            times += [entry.expires_ms for entry in self._orders]
            tick_ms = self._scheduler.next_ms() if self._scheduler is not None else None
            times += [tick_ms] if tick_ms is not None else []
        if waiting and not times and not self._is_paused():
            times.append(now_ms)
        return min(times, default=None)

    def catalogue_now(self) -> Catalogue:
        """Every writer schema in the log so far."""
        self._schemas.catch_up()
        return self._catalogue

    def show(self) -> None:
        """Mirror how far it came, as a worker process does once a second."""
        lanes = self._feed.served()
        for lane in lanes:
            lane.show()
        self._mirror(lanes)

    def close(self) -> None:
        """Drain for the drain time at most, by the real clock; commit, leave both groups."""
        self._leaving = True
        until = time.monotonic() + self._parts.limits.drain_ms / 1000
        self._feed.cycle(0)
        while not self._feed.left:
            if time.monotonic() >= until:
                # What handlers wait for does not come: only time goes on.
                self._broker.clock.advance(_RETRY_MS)
            self._run(self._work())
            self._feed.cycle(0)
        self._feed.close()
        self._delayer.close()
        if self._scheduler is not None:
            self._scheduler.close()
        self._engine.close()
        self._shared.leave(self._parts.limits.drain_ms / 1000)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    # -- how the feed reaches the engine

    def hand(self, batch: list[tuple[Lane, list[Record]]]) -> None:
        """Give records to the engine; it takes them when the loop runs."""
        self._loop.call_soon(self._engine.carry, batch)

    def prepare(self, arrival: Arrival) -> None:
        """Restore it once all is answered that was sent of it here; mostly that is at once.

        Where a worker would end and be started anew, try again.
        """
        if any(lane.source == arrival.source for lane in self._parted):
            self._coming.append(arrival)
            return
        for more in reversed(range(_PREPARE_TRIES)):
            try:
                lane = self._parts.takeover.prepare(arrival)
            except PublishFailed:
                if not more:
                    raise
            else:
                if lane is not None:
                    self._feed.prepared(arrival)
                return

    def is_leaving(self) -> bool:
        """Whether `close` was called."""
        return self._leaving

    def hand_over(self, lanes: Sequence[Lane]) -> None:
        """End the lanes and mirror how far they came."""
        self._joined.part_with(lanes)
        self._mirror(lanes)
        self._release(lanes)

    def end(self, lanes: Sequence[Lane]) -> None:
        """End the lanes at once."""
        self._joined.end(lanes)
        self._release(lanes)

    def wait(self, timeout_s: float) -> None:
        """Return: only a turn makes progress."""

    # -- how decisions and news reach the parts

    def settling(self, settler: Settles) -> Callable[[list[Decided]], None]:
        """Keep decisions until the turn that settles them."""
        self._settler = settler
        return self._put

    def ask(self, question: Callable[[], object]) -> None:
        """Call it at once: nothing blocks in memory."""
        question()

    def announced(self, lanes: list[tuple[Lane, int]]) -> None:
        """Tell the engine how far lanes may begin."""
        self._engine.widen(lanes)

    def failed(self, error: BaseException) -> None:
        """No thread of it can fail, as it has none."""
        raise error

    # Its turn raises it.
    without_table = failed

    # -- inside

    def _rungs(self, group: str, mirrors: KafkaMirrors) -> DelayerParts:
        parts = self._parts
        meter = DelayMeter(group, parts.plans, EDGES)
        sink, reader, pulse, plans = parts.sink, parts.reader, parts.pulse, parts.plans
        return DelayerParts(
            group, sink, reader, mirrors, self._clock, pulse, plans, self._catalogue, meter
        )

    def _release(self, lanes: Sequence[Lane]) -> None:
        for lane in lanes:
            self._parts.takeover.release(lane)
        if self._settler.waits:
            settled, again = self._settler.settle([])
            self._engine.settled(settled)
            self._decided += again
            self._parted += [lane for lane in lanes if self._settler.is_adrift(lane)]

    def _come(self) -> int:
        """Restore what waited for answers; returns how many are answered."""
        left = [lane for lane in self._parted if self._settler.is_adrift(lane)]
        answered, self._parted = len(self._parted) - len(left), left
        if answered:
            coming, self._coming = self._coming, []
            for arrival in coming:
                self.prepare(arrival)
        return answered

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """As a worker process does: no handler can stop the loop."""
        return until_done(self._loop, self._loop.create_task(work)).result()

    def _is_paused(self) -> bool:
        """Whether what waits here waits for nothing but an operator."""
        reasons = {reason for _, reason in self._engine.waiting}
        return not reasons.isdisjoint({PAUSED, TYPE_PAUSED}) and FLOOD not in reasons

    def _obey(self, orders: Orders) -> None:
        self._orders = orders
        self._feed.obey(frozenset(orders.queues), quiet=bool(orders.quiets))
        self._engine.obey(orders)

    def _hear_orders(self) -> None:
        """As a worker process that joins: what stands there by now is no order to leave."""
        self.sent_away = []
        self._control.catch_up()
        self._control.listen_for_drains(self.sent_away.append)
        self._control.listen(self._clock.broker_ms(), self._obey)
        self._control.listen(self._clock.broker_ms(), self._delayer.obey)

    async def _join(self, parts: Parts) -> Assembly:
        return Assembly(parts, self._loop, self)

    def _tell_death(self, delivery: Delivery, decision: DeadLetter) -> None:
        failure = failure_of(delivery, None, decision)
        if failure is not None:
            call(self._death_callbacks, failure)

    def _tell(self, delivery: Delivery, outcome: Outcome | None, decision: Decision) -> None:
        """As a worker process does, but here and now."""
        failure = failure_of(delivery, outcome, decision)
        if failure is not None:
            call(self._callbacks, failure)

    def _put(self, batch: list[Decided]) -> None:
        self._decided += batch
        self._woken.set()

    async def _work(self) -> bool:
        """Run handlers up to their next wait, settle what was decided; False if idle."""
        self._woken.clear()
        self._engine.tick(silent=self._pulse.is_silent())
        self._mirror(self._feed.served())
        # Records handed over are accepted, and runners started, in the loop's next rounds.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._engine.flush()
        if not self._decided and self._settler.waits and self._settle():
            return True
        if not self._decided:
            if not any(each.busy for each in self._joined.executors.values()):
                return any(reason == UNANNOUNCED for _, reason in self._engine.waiting)
            await self._wait_a_little()
        if self._decided:
            self._settle()
        return True

    async def _wait_a_little(self) -> None:
        try:
            await asyncio.wait_for(self._woken.wait(), _WAIT_S)
        except TimeoutError:
            self._engine.flush()

    def _settle(self) -> bool:
        """Settle what was decided, and look what was acknowledged since; False if nothing was."""
        batch, self._decided = self._decided, []
        settled, again = self._settler.settle(batch)
        self._engine.settled(settled)
        self._decided += again
        if again and not settled:
            self._broker.clock.advance(_RETRY_MS)
        return bool(settled or again)

    def _mirror(self, lanes: Sequence[Lane]) -> None:
        """As in a worker process: commits go as far as the mirror."""
        with suppress(PublishFailed):
            self.announced(self._parts.takeover.mirror.publish(lanes))
