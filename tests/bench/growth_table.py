"""What a dedup table of a given size costs one process: to restore, to keep, to ask.

Run as `python -m tests.bench.growth_table '{"app": …}'`; prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import Producer
from tests.bench.jobs import Bench
from tests.bench.usage import cpu_by_thread, cpu_since, resident_mb

from jobstream.dedup.slots import claim_slot
from jobstream.dedup.table import Table
from jobstream.kafka.client.broker_clock import MACHINE
from jobstream.kafka.follow.topic_reader import KafkaLog
from jobstream_schemas import DoneRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream_processors.ports import Shard

BATCH = 10_000
ASKED = 50_000
AT_ONCE = 500
"""Ids in one look-up: about what a poll brings of a partition."""
COMPACTING = "rocksdb:low"
"""The threads that merge RocksDB's files."""
PACE = 1_000
"""Ids made in one millisecond of their time."""


def ids(first: int, count: int) -> Iterator[str]:
    """Ids as producers make them: in the order of time, the rest by chance, the same every time."""
    for n in range(first, first + count):
        chance = random.Random(n).getrandbits(74)
        stamp = 1_700_000_000_000 + n // PACE
        bits = stamp << 80 | 7 << 76 | chance >> 62 << 64 | 2 << 62 | chance & (1 << 62) - 1
        yield str(uuid.UUID(int=bits))


def write(topic: str, first: int, count: int) -> None:
    """Append `count` rows of jobs that are done to partition 0."""
    producer = Producer(
        {"bootstrap.servers": os.environ["JOBSTREAM_BOOTSTRAP_SERVERS"], "linger.ms": 5}
    )
    done, every = DoneRows(time.time_ns() // 1_000_000), ids(first, count)
    for start in range(0, count, BATCH):
        rows = []
        for _, job_id in zip(range(min(BATCH, count - start)), every, strict=False):
            key, value = done.row(job_id.encode()[-8:], b"finger-p", job_id, 0, 1)
            rows.append({"key": key, "value": value})
        producer.produce_batch(topic, rows, 0)
        producer.flush()


def look_up_us(shard: Shard, asked: list[str]) -> float:
    """CPU of one look-up, in microseconds."""
    started = time.thread_time()
    for at in range(0, len(asked), AT_ONCE):
        shard.get(asked[at : at + AT_ONCE])
    return (time.thread_time() - started) / len(asked) * 1e6


def main() -> None:
    """Restore the table from its topic, open it again, and ask it."""
    told = json.loads(sys.argv[1])
    bench, rows = Bench(told["app"], 1, slim=True), int(told["rows"])
    plan = bench.app.plan(bench.queue)
    log = KafkaLog(bench.app.settings.client_options())
    place, topic_id = (plan.dedup, 0), log.topic_id(plan.dedup)
    found: dict[str, float] = {}
    with claim_slot(Path(told["state"]), bench.app.name, "growth") as slot:
        before_mb = resident_mb()
        for what in ("restored s", "opened again s"):
            table, started = Table(slot, log, now_ms=MACHINE.wall_ms), time.perf_counter()
            cpu = cpu_by_thread()
            opened = table.open(place, claim=rows - 1, topic_id=topic_id, window_ms=plan.window_ms)
            found[what] = time.perf_counter() - started
            if what == "restored s":
                used = cpu_since(cpu)
                found["CPU µs a row"] = sum(used.values()) / rows * 1e6
                found["compacting µs a row"] = used.get(COMPACTING, 0.0) / rows * 1e6
            found["known µs"] = look_up_us(opened.shard, [*ids(rows // 2, min(ASKED, rows // 2))])
            found["unknown µs"] = look_up_us(opened.shard, [*ids(rows, ASKED)])
            found["table MB"] = max(found.get("table MB", 0.0), resident_mb() - before_mb)
            table.close(place, opened.shard, catch_up_s=0)
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
