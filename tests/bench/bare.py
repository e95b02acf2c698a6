"""The loops a programmer would write without jobstream, each in a process of its own.

Run as `python -m tests.bench.bare noop|wait|keyed APP PARTITIONS COUNT`; prints one line of JSON.
They decode, run and commit, and keep none of the promises: a job that fails is lost or blocks.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import fastavro
from confluent_kafka import Consumer, TopicPartition
from tests.bench import jobs
from tests.bench.usage import core_waits_by_thread, core_waits_since, cpu_by_thread, cpu_since

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from confluent_kafka import Message

HEADER = 10
"""Bytes of Avro's single-object header: two of mark, eight of fingerprint."""
COMMIT_S = 1.0
CONCURRENCY = {"wait": 200, "keyed": 100}


class Loop:
    """Consumes one topic; counts, decodes and commits."""

    def __init__(self, bench: jobs.Bench, count: int) -> None:
        self.count = count
        self.finished = 0
        self._topic = bench.topic
        schema: Any = bench.types["async"].codec.schema.json
        self._schema = fastavro.parse_schema(json.loads(schema))
        self._next: dict[int, int] = {}
        self._above: dict[int, set[int]] = {}
        self._commit_at = 0.0
        self.consumer = Consumer(
            {
                "bootstrap.servers": os.environ["JOBSTREAM_BOOTSTRAP_SERVERS"],
                "group.id": f"bare-{os.getpid()}",
                "group.protocol": "consumer",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        self.consumer.subscribe([self._topic])

    def decode(self, message: Message) -> object:
        """The job in the record."""
        stream = io.BytesIO(message.value() or b"")
        stream.seek(HEADER)
        return fastavro.schemaless_reader(stream, self._schema, None)

    def noop(self) -> None:
        """Batches of 1,000, a commit after each: nothing can be done with less."""
        while self.finished < self.count:
            batch = self.consumer.consume(1_000, 0.1)
            if not batch:
                continue
            for message in batch:
                self.decode(message)
            self.finished += len(batch)
            self.consumer.commit(asynchronous=True)

    def finish(self, message: Message) -> None:
        """Move the contiguous position of the record's partition."""
        partition, offset = message.partition() or 0, message.offset() or 0
        above = self._above.setdefault(partition, set())
        above.add(offset)
        at = self._next.get(partition, 0)
        while at in above:
            above.discard(at)
            at += 1
        self._next[partition] = at
        self.finished += 1

    def commit(self) -> None:
        """Commit what is contiguous, once a second."""
        if time.monotonic() < self._commit_at:
            return
        self._commit_at = time.monotonic() + COMMIT_S
        places = [TopicPartition(self._topic, p, at) for p, at in self._next.items()]
        if places:
            self.consumer.commit(offsets=places, asynchronous=True)


async def waiting(loop: Loop, first: list[Message], concurrency: int) -> None:
    """As many coroutines as may run at once, each taking record after record."""
    records = deque(first)

    async def one() -> None:
        while loop.finished < loop.count:
            if not records:
                await asyncio.sleep(0.001)
                continue
            message = records.popleft()
            loop.decode(message)
            await asyncio.sleep(jobs.WAIT_S)
            loop.finish(message)

    await _fed(loop, records.extend, lambda: len(records), [one() for _ in range(concurrency)])


async def in_key_order(loop: Loop, first: list[Message], concurrency: int) -> None:
    """A chain per key, drained by one coroutine at a time; at most `concurrency` of them."""
    chains: dict[bytes, deque[Message]] = {}
    slots = asyncio.Semaphore(concurrency)
    tasks: set[asyncio.Task[None]] = set()
    held = 0

    async def drain(chain: deque[Message]) -> None:
        nonlocal held
        async with slots:
            while chain:
                loop.decode(chain[0])
                await asyncio.sleep(jobs.KEYED_S)
                loop.finish(chain.popleft())
                held -= 1

    def take(records: list[Message]) -> None:
        nonlocal held
        held += len(records)
        for message in records:
            chain = chains.setdefault(message.key() or b"", deque())
            chain.append(message)
            if len(chain) == 1:
                task = asyncio.create_task(drain(chain))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

    take(first)
    await _fed(loop, take, lambda: held, [])


async def _fed(
    loop: Loop,
    take: Callable[[list[Message]], None],
    held: Callable[[], int],
    workers: list[Coroutine[Any, Any, None]],
) -> None:
    """Feed records to `take` while fewer than 2,000 are held, and commit."""
    tasks = [asyncio.create_task(worker) for worker in workers]
    while loop.finished < loop.count:
        if held() < 2_000:
            take(loop.consumer.consume(1_000, 0))
        loop.commit()
        await asyncio.sleep(0.002)
    await asyncio.gather(*tasks)


def main() -> None:
    """Run the named loop over the named app's queue."""
    name, app, partitions, count = sys.argv[1:]
    loop = Loop(jobs.Bench(app, int(partitions)), int(count))
    first: list[Message] = []
    while not first:
        first = loop.consumer.consume(1, 1.0)
    started, cpu, waits = time.perf_counter(), cpu_by_thread(), core_waits_by_thread()
    if name == "noop":
        loop.finished = len(first)
        loop.noop()
    else:
        run = waiting if name == "wait" else in_key_order
        asyncio.run(run(loop, first, CONCURRENCY[name]))
    seconds = time.perf_counter() - started
    report = {"jobs": loop.finished, "seconds": seconds, "cpu": cpu_since(cpu)}
    print(json.dumps(report | {"waited": core_waits_since(waits)}))
    loop.consumer.close()


if __name__ == "__main__":
    main()
