"""What a process knows before it serves: that its topics are right, mirrors, schemas and orders."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from jobstream.canary import canary_job as canary
from jobstream.kafka.client.admin import Admin
from jobstream.kafka.follow.control_topic import ControlFollower
from jobstream.kafka.follow.mirror_topic import KafkaMirrors
from jobstream.kafka.follow.schema_topic import SchemaFollower
from jobstream.topics.apply import verify
from jobstream.topics.names import control_topic, offsets_topic, schemas_topic
from jobstream_processors.background import aside
from jobstream_schemas import Catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from jobstream.app import App
    from jobstream.kafka.follow.topic_reader import KafkaLog
    from jobstream.observe.observed import Observed
    from jobstream.roles.membership import Membership
    from jobstream_processors.ports import Clock, Mirrors, Sink

SCHEMAS_EVERY_S = 2.0


class Briefing(NamedTuple):
    """What was read. It goes on to be read once it is followed."""

    mirrors: Mirrors
    control: ControlFollower
    catalogue: Catalogue
    schemas: SchemaFollower
    cluster_id: str

    def follow(self, clock: Clock, failed: Callable[[BaseException], object]) -> None:
        """Learn new orders and schemas on threads, whose ends `failed` hears of."""
        self.control.follow(clock, failed)
        self.schemas.follow(SCHEMAS_EVERY_S, failed)

    def close(self) -> None:
        """Follow no more."""
        self.control.close()
        self.schemas.close()


async def brief(
    app: App,
    queues: Collection[str],
    readers: tuple[KafkaLog, KafkaLog],
    sink: Sink,
    membership: Membership,
    *,
    observed: Observed,
) -> Briefing:
    """Verify the topics, and read what must be known before the first job runs.

    Each step blocks on a thread of its own; those after the first go on at a time.
    `readers`: of the topics, and of orders alone.
    """
    reader, orders_reader = readers
    control = ControlFollower(orders_reader, control_topic(app.name))
    await aside("jobstream-start", _verify, app, queues, membership)
    observed.verified = True
    # At once: the answers are waited for most of the time.
    mirrors, (catalogue, schemas), cluster, _ = await asyncio.gather(
        aside("jobstream-start", _mirrors, app, reader),
        aside("jobstream-start", _schemas, app, reader, sink),
        aside("jobstream-start", Admin(app.settings).cluster),
        aside("jobstream-start", control.catch_up),
    )
    return Briefing(mirrors, control, catalogue, schemas, cluster.id)


def _verify(app: App, queues: Collection[str], membership: Membership) -> None:
    admin = Admin(app.settings)
    declared = [app.queues[name] for name in queues]
    verify(admin, app.name, declared, schedules=app.has_schedules)
    membership.believe(admin)


def _mirrors(app: App, reader: KafkaLog) -> Mirrors:
    topic = offsets_topic(app.name)
    mirrors = KafkaMirrors(reader, topic, reader.partitions(topic))
    mirrors.catch_up()  # So that the first take-over need not.
    return mirrors


def _schemas(app: App, reader: KafkaLog, sink: Sink) -> tuple[Catalogue, SchemaFollower]:
    """Every writer schema known so far, and who learns the next."""
    catalogue = Catalogue()
    for schema in (*app.schemas(), canary.codec().schema):
        catalogue.register(schema)
    follower = SchemaFollower(reader, schemas_topic(app.name), catalogue, sink)
    follower.catch_up()
    return catalogue, follower
