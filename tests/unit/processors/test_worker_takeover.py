"""A worker given back what it has just lost closes the old table before the new one opens."""

# ruff: noqa: SLF001 - the worker's rooms without its threads, which no broker here could hold up

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.harness.waiting import wait_until

from jobstream.testing import MemorySource
from jobstream.testing.memory_tables import MemoryTables
from jobstream_processors import worker as worker_module
from jobstream_processors.assignment.feed import Feed
from jobstream_processors.assignment.lane import Lane
from jobstream_processors.assignment.pulse import Pulse
from jobstream_processors.assignment.takeover import Takeover
from jobstream_processors.parts import Parts
from jobstream_processors.settle.settler import Settler
from jobstream_processors.settle.thread import SettleThread
from jobstream_processors.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from tests.unit.processors.conftest import Shop

LIMIT_S = 120.0


@contextmanager
def working(shop: Shop) -> Iterator[Worker]:
    """A worker whose settling thread is not started yet, as if its broker were away."""
    tables = MemoryTables(shop.log)
    pulse = Pulse(shop.clock, 1 << 60)
    worker = Worker(
        Parts(
            specs=shop.specs,
            plans=shop.plans,
            catalogue=shop.catalogue,
            source=lambda _: MemorySource(shop.broker, "shop", [shop.plan.topic]),
            sink=shop.sink,
            takeover=Takeover(
                "shop", shop.plans, shop.sink, shop.log, tables, shop.mirrors, shop.clock
            ),
            reader=shop.log,
            clock=shop.clock,
            pulse=pulse,
        )
    )
    known = shop.log.known_id
    worker._feed = Feed(shop.plans, worker, shop.clock, pulse, worker._parts.limits, known_id=known)
    settler = Settler(shop.sink, shop.plans, shop.clock)
    worker._settling = SettleThread(settler, lambda _: None, worker._feed.failed)
    try:
        yield worker
    finally:
        worker._settling.close(LIMIT_S)
        for closed in worker._released.values():
            closed.set()
        worker._restorers.shutdown()
        worker._closers.shutdown()


def test_a_table_that_is_closed_late_keeps_no_take_over_from_closing_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One thread for take-overs stands for four that all wait.
    monkeypatch.setattr(worker_module, "TAKEOVERS_AT_ONCE", 1)
    lost, returned = (
        Lane("mail", (shop.plan.topic, 0), shop.plan.window_ms, 10_000) for _ in range(2)
    )
    with working(shop) as worker:
        worker._take_over(lost, None)
        lost.live = False
        worker._release([lost])
        worker.prepare(returned, None)

        worker._settling.start()

        wait_until(lambda: hasattr(returned, "shard"), "it is taken over again", limit_s=LIMIT_S)
        assert returned.claim > lost.claim
