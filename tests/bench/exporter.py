"""What one look of the lag exporter costs at a thousand partitions: wall time and CPU."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public, not marked as such
    AdminClient,
    NewTopic,
)
from tests.bench.report import Figure

from jobstream.observe.exporter import Exporter
from jobstream.operate.cluster import ClusterReader
from jobstream.operate.onlooker import Onlooker
from jobstream.operate.view import AppView
from jobstream.settings import Settings
from jobstream.topics.names import (
    dlq_topic,
    offsets_topic,
    queue_topic,
    schemas_topic,
    worker_group,
)
from jobstream_processors.ports import Position

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.rig import Rig

APP = "bench-exporter"
QUEUES = 10
INTERVAL_S = 15.0
LIMIT_S = 60.0


def measure(rig: Rig) -> Iterator[Figure]:
    """Ten queues, no worker: a look while nothing moves, and one after every place moved."""
    partitions = rig.size(100, 10)
    queues = [f"q{number}" for number in range(QUEUES)]
    topics = {queue_topic(APP, queue): partitions for queue in queues}
    topics |= {dlq_topic(APP, queue): 1 for queue in queues}
    topics |= {offsets_topic(APP): 12, schemas_topic(APP): 1}
    admin = AdminClient({"bootstrap.servers": rig.bootstrap_servers})
    made = admin.create_topics([NewTopic(name, count, 1) for name, count in topics.items()])
    for future in made.values():
        future.result(LIMIT_S)
    _append(rig, queues, partitions)
    exporter = Exporter(
        Onlooker(AppView(APP, Settings.load(bootstrap_servers=rig.bootstrap_servers))),
        interval_s=INTERVAL_S,
        objectives_s={},
    )
    total = QUEUES * partitions
    yield _look(exporter, f"exporter, first look at {total:,} lagging partitions", total)
    yield _look(exporter, "exporter, the next look, nothing moved", total)
    _append(rig, queues, partitions)
    _move(rig, queues, partitions)
    yield _look(exporter, "exporter, a look after every place moved", total)
    for future in admin.delete_topics(list(topics)).values():
        future.result(LIMIT_S)


def _append(rig: Rig, queues: list[str], partitions: int) -> None:
    producer = Producer({"bootstrap.servers": rig.bootstrap_servers, "linger.ms": 50})
    for queue in queues:
        for partition in range(partitions):
            for _ in range(10):
                producer.produce(queue_topic(APP, queue), b"x" * 200, partition=partition)
        producer.flush(LIMIT_S)


def _move(rig: Rig, queues: list[str], partitions: int) -> None:
    """Commit as the workers' group, so that every partition goes on with another record."""
    cluster = ClusterReader({"bootstrap.servers": rig.bootstrap_servers})
    places = [(queue_topic(APP, queue), n) for queue in queues for n in range(partitions)]
    cluster.commit(worker_group(APP), dict.fromkeys(places, Position(5)))


def _look(exporter: Exporter, what: str, partitions: int) -> Figure:
    """One look and one scrape, on this thread; the client's threads count for the CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    exporter.look()
    took, used = time.perf_counter() - wall, time.process_time() - cpu
    trouble = exporter.probes.status()["trouble"]
    if trouble:
        raise RuntimeError(str(trouble))
    share = f"{100 * used / INTERVAL_S:.1f} % of a core at a look in {INTERVAL_S:g} s"
    note = f"{1000 * used:.0f} ms of CPU ({share}), {1e6 * used / partitions:.0f} µs a partition"
    return Figure(what, took, "s", note=note)
