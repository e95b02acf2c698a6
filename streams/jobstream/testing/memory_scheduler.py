"""The scheduler of a worker in memory: the same one as in a process, on its broker and clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.observe.metrics.metric import EDGES
from jobstream.roles.app_ticks import AppTicks, publish_declared
from jobstream.testing.memory_source import MemorySource
from jobstream.topics.names import schedule_group, schedules_topic
from jobstream_processors.schedule.schedule_meter import ScheduleMeter
from jobstream_processors.schedule.scheduler import ScheduleParts, Scheduler

if TYPE_CHECKING:
    from jobstream.app import App
    from jobstream.kafka.client.broker_clock import BrokerClock
    from jobstream.testing.memory_broker import MemoryBroker
    from jobstream_processors.assembly import Parts
    from jobstream_processors.ports import Mirrors
    from jobstream_schemas import Catalogue


def scheduler_in_memory(  # noqa: PLR0917 - what the worker beside it has
    app: App,
    broker: MemoryBroker,
    parts: Parts,
    mirrors: Mirrors,
    catalogue: Catalogue,
    learning: BrokerClock | None,
) -> tuple[Scheduler, ScheduleMeter]:
    """A member of the scheduler group, which has joined, and what it counts."""
    group, clock = schedule_group(app.name), parts.clock
    publish_declared(app, parts.reader, parts.sink)
    meter = ScheduleMeter(group, EDGES)
    maker = AppTicks(app, catalogue, clock.broker_ms)
    sink, reader, pulse = parts.sink, parts.reader, parts.pulse
    scheduler = Scheduler(ScheduleParts(group, sink, reader, mirrors, clock, pulse, maker, meter))
    topics = [schedules_topic(app.name)]
    scheduler.join(MemorySource(broker, group, topics, learning).listen)
    return scheduler, meter
