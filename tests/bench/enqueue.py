"""Enqueueing one by one, from coroutines and in bulk, beside a bare idempotent producer."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, Any

import fastavro
import uuid_utils
from confluent_kafka import Producer
from tests.bench.jobs import notes
from tests.bench.report import Figure, per_job
from tests.bench.usage import cpu_by_thread, cpu_since

from jobstream_schemas import Meta

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import KafkaError, Message
    from tests.bench.jobs import Bench, Note
    from tests.bench.rig import Rig

AT_ONCE = 200
BULK_GOAL = 60_000


def measure(rig: Rig) -> Iterator[Figure]:
    """Three rounds (one if quick); medians."""
    bench = rig.bench("enqueue")
    bench.types["async"].enqueue(notes(1)[0])
    bare = BareProducer(rig, bench)
    few, some, many = rig.size(3_000, 500), rig.size(20_000, 4_000), rig.size(200_000, 50_000)
    rates: dict[str, list[float]] = defaultdict(list)
    used: dict[str, str] = {}
    ways = (
        ("bare, one by one", few, bare.one_by_one),
        ("enqueue, one by one", few, lambda given: _one_by_one(bench, given)),
        (f"aenqueue, {AT_ONCE} at once", some, lambda given: asyncio.run(_async(bench, given))),
        ("bare, in bulk", many, bare.bulk),
        ("enqueue_many", many, bench.types["async"].enqueue_many),
    )
    for number in range(rig.size(3, 1)):
        for name, count, way in ways[:: 1 if number % 2 == 0 else -1]:
            given, cpu, started = notes(count), cpu_by_thread(), time.perf_counter()
            way(given)
            rates[name].append(count / (time.perf_counter() - started))
            used[name] = per_job(cpu_since(cpu), count)
    rig.drop(bench)
    beside = {"enqueue, one by one": "bare, one by one", "enqueue_many": "bare, in bulk"}
    for name, _, _ in ways:
        rate, other = median(rates[name]), beside.get(name)
        against = f"{rate / median(rates[other]):.2f} x {other}" if other else ""
        goal = f"≥ {BULK_GOAL:,}/s" if name == "enqueue_many" else ""
        met = rate >= BULK_GOAL if goal else None
        yield Figure(name, rate, "jobs/s", against, goal, met, used[name])


class BareProducer:
    """Encodes the same record with fastavro and sends it with the same promises of delivery."""

    def __init__(self, rig: Rig, bench: Bench) -> None:
        schema = bench.types["async"].codec.schema
        parsed: Any = json.loads(schema.json)
        self._schema = fastavro.parse_schema(parsed)
        self._header = bench.types["async"].codec.encode(_meta(), notes(1)[0])[:10]
        self._topic = bench.topic
        self._failed = 0
        options = {"bootstrap.servers": rig.bootstrap_servers, "enable.idempotence": True}
        self._producer = Producer({**options, "linger.ms": 0, "partitioner": "murmur2_random"})

    def one_by_one(self, given: list[Note]) -> None:
        """Wait for each acknowledgement."""
        for note in given:
            self._send(note)
            self._producer.flush()

    def bulk(self, given: list[Note]) -> None:
        """Send all, then wait."""
        for note in given:
            self._send(note)
            self._producer.poll(0)
        self._producer.flush()

    def _send(self, note: Note) -> None:
        meta = _meta()
        record = {
            "meta": meta._asdict(),
            "args": {"n": note.n, "text": note.text},
        }
        stream = io.BytesIO()
        stream.write(self._header)
        fastavro.schemaless_writer(stream, self._schema, record)
        value, key = stream.getvalue(), meta.id.encode()
        while True:
            try:
                self._producer.produce(self._topic, value, key, on_delivery=self._acked)
            except BufferError:
                self._producer.poll(0.01)
            else:
                return

    def _acked(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            raise RuntimeError(error.str())


def _meta() -> Meta:
    return Meta(id=str(uuid_utils.uuid7()), enqueued_at=time.time_ns() // 1_000_000, source="bare")


def _one_by_one(bench: Bench, given: list[Note]) -> None:
    for note in given:
        bench.types["async"].enqueue(note)


async def _async(bench: Bench, given: list[Note]) -> None:
    left = iter(given)

    async def one() -> None:
        for note in left:
            await bench.types["async"].aenqueue(note)

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
