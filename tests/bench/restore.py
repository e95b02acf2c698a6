"""Rows a second from a dedup topic into an empty shard, and how long a warm start takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import uuid_utils
from confluent_kafka import Producer
from tests.bench.report import Figure, per_job
from tests.bench.usage import cpu_by_thread, cpu_since

from jobstream.dedup.slots import claim_slot
from jobstream.dedup.table import Table
from jobstream.kafka.client.broker_clock import MACHINE
from jobstream.kafka.follow.topic_reader import KafkaLog
from jobstream_schemas import DoneRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.rig import Rig

GOAL, WARM_GOAL_S = 200_000, 1.0
BATCH = 10_000


def measure(rig: Rig) -> Iterator[Figure]:
    """One partition, as a worker restores it before it runs the first job."""
    count = rig.size(1_000_000, 200_000)
    bench = rig.bench("restore", partitions=1)
    plan = bench.app.plan(bench.queue)
    _write(rig, plan.dedup, count)
    log = KafkaLog(bench.app.settings.client_options())
    place, topic_id = (plan.dedup, 0), log.topic_id(plan.dedup)
    took: list[float] = []
    used: list[str] = []
    with claim_slot(rig.folder / "state", bench.app.name, "bench") as slot:
        for _ in ("cold", "warm"):
            started, cpu = time.perf_counter(), cpu_by_thread()
            table = Table(slot, log, now_ms=MACHINE.wall_ms)
            opened = table.open(place, claim=count - 1, topic_id=topic_id, window_ms=plan.window_ms)
            took.append(time.perf_counter() - started)
            used.append(per_job(cpu_since(cpu), count))
            table.close(place, opened.shard)
    rig.drop(bench)
    rate, (_, warm) = count / took[0], took
    rows = f"{count:,} rows"
    goal = f"≥ {GOAL:,} rows/s"
    yield Figure("dedup restore, cold", rate, "rows/s", rows, goal, rate >= GOAL, used[0])
    goal = f"< {WARM_GOAL_S:g} s"
    yield Figure("dedup table, warm start", warm, "s", rows, goal, warm < WARM_GOAL_S)


def _write(rig: Rig, topic: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": rig.bootstrap_servers, "linger.ms": 5})
    done = DoneRows(time.time_ns() // 1_000_000)
    for _ in range(0, count, BATCH):
        rows = []
        for _ in range(BATCH):
            job_id, digest = str(uuid_utils.uuid7()), uuid_utils.uuid4().bytes[:8]
            key, value = done.row(digest, b"finger-p", job_id, 0, 1)
            rows.append({"key": key, "value": value})
        producer.produce_batch(topic, rows, 0)
        producer.flush()
