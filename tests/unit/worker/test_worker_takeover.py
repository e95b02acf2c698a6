"""A worker given back what it has just lost closes the old table before the new one opens."""

# ruff: noqa: SLF001 - the worker's rooms without its threads, which no broker here could hold up

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.harness.waiting import wait_until

from jobstream.testing import MemorySource
from jobstream.testing.memory_tables import MemoryTables
from jobstream_processors import loop_driver
from jobstream_processors.assembly import Parts
from jobstream_processors.assignment.pulse import Pulse
from jobstream_processors.assignment.takeover import Takeover
from jobstream_processors.loop_driver import LoopDriver

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from tests.unit.shop import Shop

LIMIT_S = 120.0


class Stays:
    """Nothing ends here."""

    def is_leaving(self) -> bool:
        return False

    def failed(self, error: BaseException) -> None:
        raise error

    without_table = failed


async def made(shop: Shop) -> LoopDriver:
    tables = MemoryTables(shop.log)
    pulse = Pulse(shop.clock, 1 << 60)
    parts = Parts(
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
    return LoopDriver(parts, asyncio.get_running_loop(), Stays())


@contextmanager
def driving(shop: Shop) -> Iterator[LoopDriver]:
    """A worker's threads, of which the settling one is not started yet, as if its broker hung."""
    with asyncio.Runner() as runner:
        driver = runner.run(made(shop))
        try:
            yield driver
        finally:
            driver.settler.close(LIMIT_S)
            for parting in driver._partings.values():
                parting.closed.set()
                parting.answered.set()
            runner.run(driver.tables_closed())
            driver.close()


def test_a_table_that_is_closed_late_keeps_no_take_over_from_closing_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One thread for take-overs stands for four that all wait.
    monkeypatch.setattr(loop_driver, "TAKEOVERS_AT_ONCE", 1)
    lost, returned = shop.arrival(), shop.arrival()
    with driving(shop) as driver:
        driver._take_over(lost)
        lost.end()
        assert lost.lane is not None
        driver._release([lost.lane])
        driver.prepare(returned)

        driver.settler.start()

        wait_until(lambda: returned.lane is not None, "it is taken over again", limit_s=LIMIT_S)
        assert returned.claim > lost.claim
