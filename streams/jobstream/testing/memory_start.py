"""What a worker in memory starts with, and its check: jobs that its code cannot read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.kafka.follow.mirror_topic import KafkaMirrors
from jobstream.kafka.follow.schema_topic import SchemaFollower
from jobstream.operate.positions import group_place
from jobstream.operate.undecodable import judges_of, look, refusal
from jobstream.testing.memory_log import MemoryLog
from jobstream.topics.names import delay_group, offsets_topic, schemas_topic, worker_group
from jobstream_processors.assignment.pressure import Limits
from jobstream_schemas import Catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobstream.app import App
    from jobstream.operate.positions import GroupPlace
    from jobstream.settings import Settings
    from jobstream.testing.memory_broker import MemoryBroker
    from jobstream_processors.ports import Record, TopicPartition


def refuse_undecodable(app: App, broker: MemoryBroker) -> None:
    """Raise JobsUndecodable where a worker process would."""
    log, catalogue = MemoryLog(broker), Catalogue()
    SchemaFollower(log, schemas_topic(app.name), catalogue).catch_up()
    judges = judges_of(catalogue, app.specs())
    if not judges or app.settings.allow_undecodable:
        return

    def read(spans: Mapping[TopicPartition, tuple[int, int]]) -> Iterator[Record]:
        for place, (start, stop) in spans.items():
            for batch in log.read(place, start, stop):
                yield from batch

    looked = look(judges, catalogue, _standings(app, broker, log), read)
    if looked.misfits:
        raise refusal(looked)


def _standings(app: App, broker: MemoryBroker, log: MemoryLog) -> Iterator[GroupPlace]:
    topic = offsets_topic(app.name)
    mirrors = KafkaMirrors(log, topic, broker.topics()[topic])
    for plan in app.plans().values():
        groups = {plan.topic: worker_group(app.name)}
        groups |= {rung: delay_group(app.name) for rung, _ in plan.rungs.values()}
        for name, group in groups.items():
            for number in range(broker.topics()[name]):
                place, topic_id = (name, number), broker.topic_id(name)
                committed = broker.committed(group, place)
                mirror = mirrors.get(group, place, topic_id)
                yield group_place(place, topic_id, broker.span(place), committed, mirror)


def limits_of(settings: Settings, rebalance_ms: int) -> Limits:
    """The limits of a worker in memory."""
    return Limits(
        window=settings.window,
        drain_ms=settings.drain_ms,
        rebalance_drain_ms=settings.rebalance_drain_ms,
        rebalance_ms=rebalance_ms,
    )


def catalogue_of(app: App) -> Catalogue:
    """The writer schemas of the app's own code."""
    made = Catalogue()
    for schema in app.schemas():
        made.register(schema)
    return made
