"""Schedulers of one app on a broker in memory, each of which may die, freeze or be wrong."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from jobstream import App
from jobstream.kafka.follow.mirror_topic import KafkaMirrors
from jobstream.observe.metrics.metric import EDGES
from jobstream.roles.app_ticks import AppTicks, publish_declared
from jobstream.testing.errors import NoSuchMember
from jobstream.testing.memory_broker import MemoryBroker
from jobstream.testing.memory_log import MemoryLog
from jobstream.testing.memory_sink import MemorySink
from jobstream.testing.memory_source import MemorySource
from jobstream.testing.virtual_clock import EPOCH_MS, VirtualClock
from jobstream.topics.names import offsets_topic, schedule_group, schedules_topic
from jobstream.topics.specs import specs
from jobstream_processors.assignment.pulse import GuardedSink, Pulse
from jobstream_processors.core.headers import parse
from jobstream_processors.errors import TableUnavailable
from jobstream_processors.schedule.schedule_meter import ScheduleMeter
from jobstream_processors.schedule.scheduler import ScheduleParts, Scheduler
from jobstream_schemas import Catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.ports import TopicPartition

SESSION_MS = 6_000
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Nothing:
    """No args."""


class OwnTime:
    """The time as one process believes it to be; the truth is the clock's."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.ahead_ms = 0
        self.monotonic_ms, self.awake_s = clock.monotonic_ms, clock.awake_s
        self.wall_ms, self.needs_report = clock.wall_ms, clock.needs_report

    def broker_ms(self) -> int:
        return self._clock.broker_ms() + self.ahead_ms


class Reader(MemoryLog):
    """The log as one process reads it; what is away has no leader."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster.broker)
        self._cluster = cluster

    def span(self, partition: TopicPartition) -> tuple[int, int]:
        if partition[0] in self._cluster.away:
            self._cluster.asked_away += 1
            message = f"no leader of {partition}"
            raise TableUnavailable(message)
        return super().span(partition)


class Process:
    """One scheduler, as in a process of its own."""

    def __init__(self, cluster: Cluster, app: App, group: str) -> None:
        self.time = OwnTime(cluster.clock)
        self.pulse = Pulse(self.time, SESSION_MS)
        sink, log = GuardedSink(MemorySink(cluster.broker), self.pulse), Reader(cluster)
        topic = offsets_topic(app.name)
        mirrors = KafkaMirrors(log, topic, cluster.broker.topics()[topic])
        catalogue = Catalogue()
        for schema in app.schemas():
            catalogue.register(schema)
        publish_declared(app, log, sink)
        self.meter = ScheduleMeter(group, EDGES)
        maker = AppTicks(app, catalogue, self.time.broker_ms)
        self.scheduler = Scheduler(
            ScheduleParts(group, sink, log, mirrors, self.time, self.pulse, maker, self.meter)
        )
        self.source = MemorySource(cluster.broker, group, [schedules_topic(app.name)])
        self.scheduler.join(self.source.listen)
        self.frozen = False

    def turns(self, count: int = 4) -> None:
        """Some turns; a process beats in between."""
        for _ in range(0 if self.frozen else count):
            self.pulse.beat()
            self.scheduler.cycle(0)


class Cluster:
    """The broker, the time, and the processes that live."""

    def __init__(self, declare: Callable[[App], object]) -> None:
        self.clock = VirtualClock(EPOCH_MS - EPOCH_MS % HOUR_MS)
        self.broker = MemoryBroker(self.clock, wait_ms=self.clock.advance)
        self.declare = declare
        self.app = self.app_of(declare)
        for spec in specs(self.app.name, self.app.queues.values(), 1, schedules=True):
            compacted = "compact" in spec.configs["cleanup.policy"]
            self.broker.create_topic(spec.name, spec.partitions, compacted=compacted)
        self.processes: list[Process] = []
        self.away: set[str] = set()
        """Topics that can't be read."""
        self.asked_away = 0
        """How often one of them was asked for."""
        self.start_ms = self.clock.broker_ms()

    @staticmethod
    def app_of(declare: Callable[[App], object]) -> App:
        app = App("shop", size="small", schedules=True)
        declare(app)
        return app

    def start(self, app: App | None = None, group: str | None = None) -> Process:
        """A process more."""
        app = app or self.app
        made = Process(self, app, group or schedule_group(app.name))
        self.processes.append(made)
        made.turns()
        return made

    def kill(self, process: Process) -> None:
        """It is gone; its session ends by itself."""
        self.processes.remove(process)

    def expire(self, process: Process) -> None:
        """Its session has ended."""
        self.broker.expire(process.source.member)

    def expire_if_there(self, process: Process) -> None:
        """End its session, unless it has ended or never began."""
        with suppress(NoSuchMember):
            self.expire(process)

    def run_for(self, ms: int, step_ms: int = 1_000) -> None:
        """Let time pass, with turns of everybody who lives."""
        until_ms = self.clock.broker_ms() + ms
        while (now_ms := self.clock.broker_ms()) < until_ms:
            self.clock.advance(min(step_ms, until_ms - now_ms))
            for process in self.processes:
                process.turns()

    def fired(self) -> list[tuple[int, str]]:
        """(tick, job id) of every record on the queue, by append; ticks in ms from the start."""
        found = []
        for record in self.broker.records("shop.default"):
            tick_ms = parse(record.headers()).scheduled_ms
            assert tick_ms is not None
            found.append((record.timestamp()[1], tick_ms - self.start_ms, record.key() or b""))
        return [(tick, key.decode()) for _, tick, key in sorted(found)]

    def ticks(self) -> list[int]:
        """Ticks, in seconds from the start, each as often as there are records of it."""
        return [tick // 1_000 for tick, _ in self.fired()]


@pytest.fixture
def cluster() -> Cluster:
    """Of an app with one schedule of a minute, whose jobs may run beside each other."""

    def declare(app: App) -> None:
        @app.every("1m", overlap="allow", missed="all", name="each")
        @app.job
        def work(_args: Nothing) -> None:
            """Nothing."""

    return Cluster(declare)
