"""Several queues of one worker: slots are shared by weight, and no full queue keeps another out."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from jobstream import App
from jobstream.testing import memory
from jobstream.testing.errors import NotIdle
from jobstream_processors.assignment.pressure import Limits

if TYPE_CHECKING:
    from jobstream import Job

WEIGHTS = {"critical": 8, "default": 3, "low": 1}


@dataclass(frozen=True)
class Work:
    number: int
    text: str = ""


def declared(app: App, name: str, ran: list[str], executor: str) -> Job[Work, None]:
    job: Job[Work, None] = app.declare(name, Work, queue=app.queue(name, weight=WEIGHTS[name]))

    async def on_loop(_: Work) -> None:
        ran.append(name)
        await asyncio.sleep(0.005)  # work

    def in_thread(_: Work) -> None:
        ran.append(name)
        time.sleep(0.005)  # work

    job.handler(on_loop if executor == "async" else in_thread)
    return job


@pytest.mark.parametrize("executor", ["async", "thread"])
def test_queues_with_work_have_their_shares_and_all_come_to_an_end(executor: str) -> None:
    """By weight, though nearly all jobs are of the least urgent, and were there before."""
    ran: list[str] = []
    app = App("shop", size="small", concurrency=2)
    jobs = {name: declared(app, name, ran, executor) for name in WEIGHTS}
    with memory(app) as run:
        for name, count in (("low", 300), ("default", 150), ("critical", 150)):
            for number in range(count):
                jobs[name].enqueue(Work(number))
        run.run_until_idle()

    assert Counter(ran) == {"low": 300, "default": 150, "critical": 150}
    early = Counter(ran[20:150])
    assert early["critical"] > early["default"] > early["low"]
    assert early["critical"] > 60


def test_a_queue_of_which_very_many_jobs_wait_here_does_not_keep_another_from_being_read() -> None:
    """Neither by the room that a process has, nor by what it announces ahead of its slots."""
    app = App("shop", size="small", concurrency=4)
    low, urgent = app.queue("low"), app.queue("urgent")
    freed, loops = asyncio.Event(), list[asyncio.AbstractEventLoop]()
    text = "x" * 60_000
    more = Limits().bytes_max // len(text) + 300

    @app.job(queue=low)
    async def waits(_: Work) -> None:
        loops.append(asyncio.get_running_loop())
        await freed.wait()

    @app.job(queue=urgent)
    def frees(args: Work) -> None:
        if args.number == 99:
            loops[0].call_soon_threadsafe(freed.set)

    with memory(app) as run:
        for number in range(more):
            waits.enqueue(Work(number, text))
        with pytest.raises(NotIdle):
            run.run_until_idle(timeout_s=2)
        for number in range(100):
            frees.enqueue(Work(number))

        run.run_until_idle(timeout_s=120)

        assert len(run.assert_done(waits)) == more
