"""One queue on a broker in memory, lanes of it made by hand, and an engine that runs step by step.

Everything is the worker's own but the executors of `works`: there a run ends when the test says so.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from jobstream.job_queue import Queue
from jobstream.kafka.follow.mirror_topic import KafkaMirrors
from jobstream.testing import (
    MemoryBroker,
    MemoryLog,
    MemoryShard,
    MemorySink,
    MemorySource,
    VirtualClock,
)
from jobstream_processors.assignment.lane import Arrival, Lane
from jobstream_processors.assignment.pulse import Pulse
from jobstream_processors.core.headers import render
from jobstream_processors.core.orders import Order, in_force
from jobstream_processors.core.outcome import DONE, STOPPED
from jobstream_processors.core.policy import Policy
from jobstream_processors.core.retry import Backoff
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.delay.delayer import Delayer, DelayerParts
from jobstream_processors.engine.admission import all_gates
from jobstream_processors.engine.engine import Engine
from jobstream_processors.engine.gates.flood import Floods
from jobstream_processors.engine.intake import Intake
from jobstream_processors.engine.judge import Judge
from jobstream_processors.execute.running import Executor
from jobstream_processors.job_types import ASYNC, PROCESS, JobSpec
from jobstream_processors.ports import Outgoing
from jobstream_processors.settle.settler import Settler
from jobstream_processors.watch.reports import Reports
from jobstream_schemas import Catalogue, JobCodec, Meta, parse_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jobstream.kafka.client.broker_clock import BrokerClock
    from jobstream_processors.core.headers import Carried, Headers
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delay.delay_meter import DelayMeter
    from jobstream_processors.delivery import Decided, Delivery
    from jobstream_processors.engine.gates.gate import Gate
    from jobstream_processors.engine.judge import Taken
    from jobstream_processors.execute.running import Ended
    from jobstream_processors.ports import Listener, Position, Record, Sink, TopicPartition
    from jobstream_schemas import Row

OFFSETS = "shop.offsets"
DELAYERS = "shop.delay"


@dataclass(frozen=True)
class Mail:
    """The arguments of every job here."""

    to: str


async def nothing(mail: Mail) -> None:
    """Do nothing."""


class Shop:
    """The queue `mail` of the app `shop`, with all of its topics."""

    def __init__(self, record_bytes_max: int = 1_000_000) -> None:
        self.clock = VirtualClock()
        self.broker = MemoryBroker(self.clock, record_bytes_max=record_bytes_max)
        self.plan = Queue("mail", partitions=2, rungs={"5s": 1}).plan("shop")
        self.plans = {"mail": self.plan}
        for topic, count in self.plan.rungs.values():
            self.broker.create_topic(topic, count)
        self.broker.create_topic(self.plan.topic, 2)
        for topic in (self.plan.dlq, self.plan.dedup):
            self.broker.create_topic(topic, 2, compacted=True)
        self.broker.create_topic(OFFSETS, 1, compacted=True)
        self.sink = MemorySink(self.broker)
        self.log = MemoryLog(self.broker)
        self.mirrors = KafkaMirrors(self.log, OFFSETS, 1)
        self.catalogue = Catalogue()
        self.specs: dict[str, JobSpec] = {}
        self.codecs: dict[str, JobCodec[Mail]] = {}
        self.intake = Intake(self.catalogue, self.clock)
        self.judge = Judge(self.specs, self.catalogue, self.clock)
        self.handle("send")
        self.handle("other")
        backoff = Backoff(attempts=3, first="2s", factor=1, jitter=False)
        self.handle("held", backoff=backoff, holds_key=True)

    def handle(
        self,
        name: str,
        function: Callable[..., Any] = nothing,
        executor: str = ASYNC,
        backoff: Backoff | None = None,
        *,
        holds_key: bool = False,
        timeout_ms: int = 30_000,
        wants_context: bool = False,
    ) -> JobSpec:
        """Declare a job type and its handler; retries wait exactly as long as `backoff` says."""
        codec = JobCodec(Mail, name)
        self.catalogue.register(codec.schema)
        self.codecs[name] = codec
        policy = Policy(backoff or Backoff(attempts=3, jitter=False), holds_key)
        spec = JobSpec(
            name, "mail", codec, policy, timeout_ms, function, executor, wants_context
        )  # fmt: skip
        self.specs[name] = spec
        return spec

    def event(self, job_id: str, job: str = "send", to: str = "ann", **meta: Any) -> bytes:  # noqa: ANN401 - fields of Meta
        """The bytes of a job event."""
        told = Meta(job_id, meta.pop("enqueued_at", self.clock.broker_ms()), "test", **meta)
        return self.codecs[job].encode(told, Mail(to))

    def put(
        self, value: bytes | None, carried: Carried | None = None, partition: int = 0
    ) -> Record:
        """Append to the queue, with headers if there are any; returns the record."""
        headers = render(carried) if carried is not None else None
        self.sink.publish([Outgoing(self.plan.topic, b"key", value, partition, headers)])
        return self.broker.records(self.plan.topic, partition)[-1]

    def send(self, job_id: str, job: str = "send", key: str | None = None) -> Record:
        """Append a first delivery to partition 0; returns the record."""
        return self.put(self.event(job_id, job, order_key=key))

    def lane(self, partition: int = 0, start: int = 0) -> Lane:
        """A lane that is restored and knows nothing."""
        arrival = self.arrival(partition)
        arrival.claim = 0
        return Lane(arrival, MemoryShard(), Watermark(start))

    def arrival(self, partition: int = 0, committed: Position | None = None) -> Arrival:
        """A partition that was assigned, and is not restored."""
        place = (self.plan.topic, partition)
        return Arrival("mail", place, self.plan.window_ms, 10_000, committed)

    def deliver(self, lane: Lane, *records: Record) -> list[Delivery]:
        """What becomes of the records, for those that are not dropped."""
        return [delivery for delivery, _ in self.take(lane, records)]

    def take(self, lane: Lane, records: Sequence[Record]) -> list[Taken]:
        """Begin the records, read them, and judge what they hold."""
        return self.intake.judge(
            lane, self.intake.read(*self.intake.begin(lane, records)), self.judge
        )

    def rows(self) -> list[Row]:
        """The rows in the dedup topic, in order of their append."""
        return [
            parse_row(record.key() or b"", record.value() or b"")
            for record in self.broker.records(self.plan.dedup)
        ]

    def told(self) -> list[tuple[str, str, str]]:
        """(kind, id, state) of each row."""
        return [(row.kind, row.id, row.state) for row in self.rows()]

    def letters(self) -> dict[str, dict[str, bytes | None]]:
        """Key of each dead letter → its headers."""
        found = self.broker.records(self.plan.dlq)
        return {(r.key() or b"").decode(): dict(r.headers() or ()) for r in found}

    def appended(self) -> list[str]:
        """The topics of everything but the queue and claims, in the order of their appends."""
        topics = [name for name in self.broker.topics() if name != self.plan.topic]
        found = [record for name in topics for record in self.broker.records(name)]
        return [record.topic() for record in sorted(found, key=lambda record: record.sequence)]


class ByHand(Executor):
    """An executor with `slots` slots that runs nothing: a run ends when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = 1_000
        self.started: list[str] = []
        """Ids in the order in which they got a slot."""
        self.hosted: dict[str, Delivery] = {}
        self.waiting: list[Delivery] = []
        self.interrupted: list[Lane] = []
        self.stopped: list[str] = []
        """Ids of runs that were to be stopped."""
        self.ended: Ended
        self.closed = False

    @property
    def busy(self) -> int:
        """Deliveries that wait for a slot or run."""
        return len(self.waiting) + len(self.hosted)

    def submit(self, delivery: Delivery) -> None:
        """Take a slot, or wait for one."""
        if len(self.hosted) >= self.slots:
            self.waiting.append(delivery)
            return
        self.started.append(delivery.id)
        self.hosted[delivery.id] = delivery

    def expire(self) -> None:
        """Time limits are the test's business."""

    def running(self) -> list[tuple[Delivery, float]]:
        """Those that have a slot."""
        return [(delivery, delivery.began) for delivery in self.hosted.values()]

    def withdraw(self, lane: Lane) -> list[Delivery]:
        """Give back what has no slot."""
        taken = [d for d in self.waiting if d.lane is lane]
        self.waiting = [d for d in self.waiting if d.lane is not lane]
        return taken

    def interrupt(self, lane: Lane) -> None:
        """Write it down."""
        self.interrupted.append(lane)

    def stop(self, delivery: Delivery) -> None:
        """End it at once if it has no slot; else write it down, as asked."""
        if delivery in self.waiting:
            self.waiting.remove(delivery)
            self.ended(delivery, STOPPED)
        else:
            self.stopped.append(delivery.id)

    def close(self) -> None:
        """Write it down."""
        self.closed = True


class Works:
    """An engine over the shop with executors by hand and the real settler."""

    def __init__(self, shop: Shop, loop: asyncio.AbstractEventLoop, *more: Gate) -> None:
        self.shop = shop
        self.hand, self.child = ByHand(), ByHand()
        self.decided: list[Decided] = []
        self.settler = Settler(shop.sink, shop.plans, shop.clock)
        self.loop = loop
        self.floods = Floods()
        self.engine = Engine(
            shop.intake,
            shop.judge,
            shop.clock,
            self.decided.extend,
            loop,
            gates=(self.floods, *all_gates()[1:], *more),
        )
        reports = Reports(shop.clock.monotonic_ms)
        self.engine.run_on({ASYNC: self.hand, PROCESS: self.child}, reports)
        self.hand.ended = self.child.ended = self.engine.ended

    def lane(self, partition: int = 0) -> Lane:
        """A lane that has begun."""
        lane = self.shop.lane(partition)
        self.engine.begin(lane)
        return lane

    def accept(self, lane: Lane, *records: Record) -> None:
        """Hand records over."""
        self.engine.carry([(lane, records)])

    def end(self, job_id: str, outcome: Outcome = DONE, *, running: bool = False) -> Delivery:
        """End a run; with `running`, its handler outlives the report."""
        by = self.hand if job_id in self.hand.hosted else self.child
        delivery = by.hosted[job_id] if running else by.hosted.pop(job_id)
        if running:
            delivery.outlives()
        self.engine.ended(delivery, outcome)
        return delivery

    def kept(self, lane: Lane) -> dict[str, str]:
        """What of a lane waits: id → why."""
        return {d.id: why for d, why in self.engine.waiting if d.lane is lane}

    def settle(self) -> None:
        """Settle what was decided, once; what was not acknowledged stays."""
        self.engine.flush()
        batch = self.decided[:]
        settled, again = self.settler.settle(batch)
        self.decided[:] = again
        self.engine.settled(settled)

    def order(self, *said: tuple[str, str]) -> None:
        """Operators' orders are these from now on: (kind, subject) of each."""
        entries = [Order(kind, about, "ann@laptop", "deploy", 0, 1_000) for kind, about in said]
        self.engine.obey(in_force(entries, 0))

    def pass_ms(self, ms: int) -> None:
        """Let time pass and the engine notice."""
        self.shop.clock.advance(ms)
        self.engine.tick()


class Ladder:
    """One delayer over every rung of the queue."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.topics = [topic for topic, _ in shop.plan.rungs.values()]
        self.new_delayer()

    def new_delayer(
        self,
        sink: Sink | None = None,
        meter: DelayMeter | None = None,
        clock: BrokerClock | None = None,
    ) -> None:
        """One that reckons by virtual time, or by a process's clock on a virtual machine."""
        shop = self.shop
        if clock is not None:
            sink = MemorySink(shop.broker, clock)
        self.delayer = Delayer(
            DelayerParts(
                DELAYERS,
                sink or shop.sink,
                shop.log,
                shop.mirrors,
                clock or shop.clock,
                Pulse(shop.clock, 1 << 60),
                shop.plans,
                shop.catalogue,
                meter,
            )
        )
        self.source = MemorySource(shop.broker, DELAYERS, self.topics, clock)
        self.delayer.join(self._join)

    def _join(self, listener: Listener) -> MemorySource:
        self.listener = listener
        self.source.listen(listener)
        return self.source

    def put(
        self, rung: str, value: bytes, carried: Carried, headers: Headers | None = None
    ) -> None:
        topic, count = self.shop.plan.rungs[rung]
        partition = (carried.partition or 0) % count
        told = headers if headers is not None else render(carried)
        self.shop.sink.publish([Outgoing(topic, b"key", value, partition, told)])

    def pass_ms(self, ms: int) -> int:
        """Let time pass; returns the hops made then."""
        self.shop.clock.advance(ms)
        return self.turns()

    def turns(self) -> int:
        """Turns until nothing moves for three of them."""
        made, quiet = 0, 0
        while quiet < 3:
            hops = self.delayer.cycle(0)
            made += hops
            quiet = 0 if hops else quiet + 1
        return made

    def queue(self) -> list[Record]:
        return list(self.shop.broker.records(self.shop.plan.topic))

    def arrived(self) -> list[bytes | None]:
        return [record.value() for record in self.queue()]

    def on(self, rung: str) -> list[Record]:
        return list(self.shop.broker.records(self.shop.plan.rungs[rung][0]))


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def works(shop: Shop) -> Iterator[Works]:
    loop = asyncio.new_event_loop()
    yield Works(shop, loop)
    loop.close()


@pytest.fixture
def dedup(shop: Shop) -> TopicPartition:
    return shop.plan.dedup, 0


@pytest.fixture
def ladder(shop: Shop) -> Ladder:
    made = Ladder(shop)
    made.turns()
    return made
