"""The steps of a no-op job that count, alone: from intake to its end, in memory, many short rounds.

The cost of counting is smaller than what a busy machine adds to a run by chance; so rounds with
and without the meter alternate in one process, and the smallest of each are compared.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream import App
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.observe.metrics.metric import EDGES
from jobstream.testing import MemoryShard
from jobstream_processors.assignment.lane import Arrival, Lane
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.engine.engine import Engine
from jobstream_processors.engine.intake import Intake
from jobstream_processors.engine.judge import Judge
from jobstream_processors.execute.on_loop import LoopExecutor
from jobstream_processors.job_types import ASYNC
from jobstream_processors.meter import Meter
from jobstream_processors.watch.reports import Reports
from jobstream_schemas import Catalogue, Meta

if TYPE_CHECKING:
    from jobstream_processors.delivery import Decided

JOBS = 4_000
BATCH = 83
"""Records of one partition in a full poll of twelve."""
AGE_MS = 4_000


@dataclass(frozen=True)
class Note:
    """The arguments of the job."""

    number: int


@dataclass(frozen=True, slots=True)
class _Record:
    """A record of the client library, as far as intake looks at it."""

    place: int
    bytes_of_it: bytes
    at_ms: int

    def topic(self) -> str:
        return "bench.default"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.place

    def key(self) -> bytes:
        return b"key"

    def value(self) -> bytes:
        return self.bytes_of_it

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 2, self.at_ms


class Steps:
    """One app with one job type that does nothing."""

    def __init__(self) -> None:
        self.app = App("bench")
        self.clock = BrokerClock()

        @self.app.job
        async def noop(_args: Note) -> None: ...

        self._codec = noop.codec

    def added_us(self, rounds: int) -> tuple[float, float]:
        """(µs per job without, what counting adds), by the smallest of `rounds` each."""
        took: dict[bool, list[float]] = {True: [], False: []}
        for number in range(rounds):
            records = self._records()
            for metered in (True, False) if number % 2 else (False, True):
                took[metered].append(asyncio.run(self._round(records, metered=metered)))
        without = min(took[False])
        return without, min(took[True]) - without

    def _records(self) -> list[_Record]:
        at_ms = self.clock.broker_ms() - AGE_MS
        found = []
        for number in range(JOBS):
            meta = Meta(str(uuid.uuid4()), at_ms, "bench", None, None, None, None, None)
            value = self._codec.encode(meta, Note(number))
            found.append(_Record(number, value, at_ms + number // 100))
        return found

    async def _round(self, records: list[_Record], *, metered: bool) -> float:
        """µs of CPU per job, from the hand-over to the finished offset."""
        plans, specs, catalogue = self.app.plans(), self.app.specs(), Catalogue()
        for schema in self.app.schemas():
            catalogue.register(schema)
        meter = Meter("bench", plans, specs, EDGES) if metered else None
        decided: list[Decided] = []
        intake, judge = Intake(catalogue, self.clock), Judge(specs, catalogue, self.clock)
        loop = asyncio.get_running_loop()
        engine = Engine(intake, judge, self.clock, decided.extend, loop, meter)
        executor = LoopExecutor(200, engine.ended, engine.returned, machine=self.clock)
        engine.run_on({ASYNC: executor}, Reports(self.clock.monotonic_ms))
        arrival = Arrival("default", ("bench.default", 0), 86_400_000, JOBS)
        arrival.meter = meter.queues["default"] if meter is not None else None
        lane = Lane(arrival, MemoryShard(), Watermark(0))
        engine.begin(lane)
        began = time.process_time()
        for at in range(0, JOBS, BATCH):
            engine.carry([(lane, records[at : at + BATCH])])
            while executor.busy:  # noqa: ASYNC110 - a round of the loop is what is waited for
                await asyncio.sleep(0)
            engine.tick()
            settled, decided[:] = decided[:], []
            engine.settled(settled)
        engine.tick()
        return (time.process_time() - began) / JOBS * 1e6
