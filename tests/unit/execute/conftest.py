"""Deliveries for executors, and an ear that hears how they ended; the event loop is real."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.shop import Shop

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery

LIMIT_S = 120.0


class Ear:
    """Makes deliveries of handlers and hears what becomes of them."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.lane: Lane = shop.lane()
        self.outcomes: dict[str, Outcome] = {}
        self.still_running: list[str] = []
        self.stopped: list[str] = []
        self._heard = asyncio.Event()

    def delivery(self, job_id: str, job: str, lane: Lane | None = None) -> Delivery:
        """An admitted delivery of a declared job type."""
        (made,) = self.shop.deliver(lane or self.lane, self.shop.send(job_id, job))
        return made

    def ended(self, delivery: Delivery, outcome: Outcome) -> None:
        """As the engine's."""
        assert delivery.id not in self.outcomes, "an outcome is told once"
        self.outcomes[delivery.id] = outcome
        if delivery.outlived:
            self.still_running.append(delivery.id)
        self._heard.set()

    def returned(self, delivery: Delivery) -> None:
        """As the engine's."""
        self.stopped.append(delivery.id)
        self._heard.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until what was heard makes it true; raises TimeoutError."""
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self._heard.clear()
                await self._heard.wait()

    async def outcome(self, job_id: str) -> Outcome:
        """Wait until it ended."""
        await self.until(lambda: job_id in self.outcomes)
        return self.outcomes[job_id]


@pytest.fixture
def ear(shop: Shop) -> Ear:
    return Ear(shop)
