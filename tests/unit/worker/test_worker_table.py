"""A worker whose dedup table can't be written any more settles what runs, and ends."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

from jobstream.testing import MemoryShard, MemorySource
from jobstream.testing.memory_tables import MemoryTables
from jobstream_processors.assembly import Parts
from jobstream_processors.assignment.pulse import Pulse
from jobstream_processors.assignment.takeover import OpenShard, Takeover
from jobstream_processors.core.known import DONE
from jobstream_processors.errors import TableUnavailable
from jobstream_processors.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.unit.shop import Mail, Shop

    from jobstream_processors.core.known import Known
    from jobstream_processors.ports import TopicPartition

LIMIT_S = 120.0
FULL = "no space left for {} rows"
SLOTS = 2


class FullShard(MemoryShard):
    """One on a disk that is full."""

    def put_done(self, rows: Sequence[tuple[str, bytes, bytes]]) -> None:
        raise TableUnavailable(FULL.format(len(rows)))

    def merge(self, facts: Sequence[tuple[str, Known]]) -> None:
        raise TableUnavailable(FULL.format(len(facts)))


class FullTables(MemoryTables):
    """They can be restored, and written no more."""

    def open(
        self,
        partition: TopicPartition,
        *,
        claim: int,
        topic_id: str,
        window_ms: int,
        needed: Callable[[], bool] | None = None,
    ) -> OpenShard:
        opened = super().open(
            partition, claim=claim, topic_id=topic_id, window_ms=window_ms, needed=needed
        )
        return opened._replace(shard=FullShard())


class UnopenedTables(MemoryTables):
    """They can't even be opened."""

    def open(self, partition: TopicPartition, **_: object) -> OpenShard:
        raise TableUnavailable(FULL.format(partition))


class Worked(Worker):
    """A worker on one thread per part, which says when it begins to leave."""

    def __init__(self, shop: Shop, tables: MemoryTables) -> None:
        reader, sink, clock = shop.log, shop.sink, shop.clock
        super().__init__(
            Parts(
                specs=shop.specs,
                plans=shop.plans,
                catalogue=shop.catalogue,
                source=MemorySource(shop.broker, "shop", [shop.plan.topic]).listen,
                sink=sink,
                takeover=Takeover("shop", shop.plans, sink, reader, tables, shop.mirrors, clock),
                reader=reader,
                clock=clock,
                pulse=Pulse(clock, 1 << 60),
                concurrency=SLOTS,
            )
        )
        self.leaves = asyncio.Event()

    def stop(self) -> None:
        super().stop()
        self.leaves.set()


async def _serve(shop: Shop, tables: MemoryTables, workers: list[Worked]) -> None:
    workers.append(worker := Worked(shop, tables))
    await worker.run()


def test_what_runs_when_the_table_can_not_be_written_is_settled_and_nothing_more_starts(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    started: list[str] = []
    workers: list[Worked] = []

    async def first_ones_end(mail: Mail) -> None:
        started.append(mail.to)
        if len(started) > 1:
            await workers[0].leaves.wait()

    shop.handle("send", first_ones_end)
    for number in range(100):
        shop.put(shop.event(f"job-{number}", to=f"{number}"))

    with pytest.raises(TableUnavailable, match="no space left"):
        asyncio.run(_serve(shop, FullTables(shop.log), workers))

    assert 0 < len(started) <= 1 + SLOTS
    done = [job_id for kind, job_id, state in shop.told() if (kind, state) == ("job", DONE)]
    assert sorted(done) == sorted(f"job-{number}" for number in started), "each of them has its row"
    assert caplog.messages.count("table_unavailable") == 1


def test_a_table_that_can_not_be_opened_ends_the_worker(shop: Shop) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: asyncio.run(_serve(shop, UnopenedTables(shop.log), [])))

        def ended() -> bool:
            shop.clock.advance(100)  # It may wait for the other partition's table.
            return running.done()

        wait_until(ended, "it ends", limit_s=LIMIT_S)

    with pytest.raises(TableUnavailable, match="no space left"):
        running.result()
