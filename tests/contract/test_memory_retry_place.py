"""Why retries stay in their queue: the table that knows a job is the one of its partition."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import pytest

from jobstream import App
from jobstream.testing import MemorySink, memory
from jobstream_processors.core.headers import Carried, render
from jobstream_processors.ports import Outgoing


@dataclass(frozen=True)
class Work:
    number: int


@pytest.mark.parametrize(("queue", "runs"), [("own", 1), ("other", 2)])
def test_a_copy_whose_row_was_lost_in_a_crash_is_absorbed_in_its_own_queue_alone(
    queue: str, runs: int
) -> None:
    app = App("shop", size="small")
    own = app.queue("own")
    app.queue("other")
    ran: list[int] = []

    @app.job(queue=own)
    async def work(args: Work) -> None:
        ran.append(args.number)

    with memory(app) as jobs:
        # Given: its first run failed, the copy was acknowledged, and its worker died before the row
        work.enqueue(Work(1))
        (record,) = chain.from_iterable(jobs.broker.records("shop.own", p) for p in range(4))
        topic, partition, offset = record.topic(), record.partition(), record.offset()
        copy = render(
            Carried(seq=1, attempt=2, partition=partition, origin=f"{topic}:{partition}:{offset}")
        )
        # When: the delivery runs again and is done, and then the copy comes back
        jobs.run_until_idle()
        back = Outgoing(f"shop.{queue}", record.key(), record.value(), partition, copy)
        MemorySink(jobs.broker).publish([back])
        jobs.run_until_idle()

    # Then: the job's row absorbs it, where there is one
    assert len(ran) == runs
