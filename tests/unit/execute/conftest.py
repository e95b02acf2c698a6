"""Deliveries for executors, and an ear that hears how they ended; the event loop is real."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

from jobstream_processors.execute.crossing import AnswerStream
from jobstream_processors.execute.line import Starter

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.shop import Shop

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.execute.line import ChildLine, LineEar

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


class OverheardLine:
    """A line to a real child of which the worker hears late what it said."""

    def __init__(self, line: ChildLine) -> None:
        self._line = line
        self._said = b""
        self.send, self.take_back = line.send, line.take_back
        self.kill, self.close = line.kill, line.close
        self.let_go, self.ended = line.let_go, line.ended

    def hear(self) -> bytes | None:
        """As the line's."""
        said, self._said = self._said, b""
        return said or self._line.hear()

    def overhear(self, kind: int) -> None:
        """Block the loop until the child has given an answer of that kind."""

        def heard() -> bool:
            self._said += self._line.hear() or b""
            return any(answer.kind == kind for answer in AnswerStream().take(self._said))

        wait_until(heard, "the child says it", limit_s=LIMIT_S)


class Overheard:
    """Opens lines to children and keeps them."""

    def __init__(self) -> None:
        self.lines: list[OverheardLine] = []
        self._starter = Starter(None)

    def open(self, listener: LineEar) -> OverheardLine:
        """For an executor that is made with it."""
        self.lines.append(OverheardLine(self._starter.line(listener)))
        return self.lines[-1]


@pytest.fixture
def ear(shop: Shop) -> Ear:
    return Ear(shop)
