"""Inside a handler, wherever it goes, its job is known; outside of any, none is."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from jobstream.kafka.client.broker_clock import MACHINE
from jobstream_processors.core.outcome import DONE
from jobstream_processors.current import job_fields
from jobstream_processors.execute.on_loop import LoopExecutor
from jobstream_processors.execute.on_threads import ThreadExecutor

if TYPE_CHECKING:
    from tests.unit.execute.conftest import Ear

    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery

Fields = dict[str, Any]


def test_async_handlers_are_known_across_awaits_and_in_the_tasks_they_start(ear: Ear) -> None:
    seen: list[tuple[str, Fields]] = []
    both_wait = asyncio.Barrier(2)

    async def note(where: str) -> None:
        seen.append((where, job_fields()))

    async def handler(_: object) -> None:
        await note("first step")
        await both_wait.wait()
        await note("after a wait")
        await asyncio.create_task(note("its task"))
        await asyncio.to_thread(lambda: seen.append(("its thread", job_fields())))

    ear.shop.handle("send", handler)

    async def scenario() -> None:
        executor = LoopExecutor(10, ear.ended, ear.returned, machine=MACHINE)
        for job_id in ("a", "b"):
            executor.submit(ear.delivery(job_id, "send"))
        await ear.outcome("a")
        await ear.outcome("b")

    asyncio.run(scenario())

    for job_id in ("a", "b"):
        told = [(where, f) for where, f in seen if f["job_id"] == job_id]
        assert [where for where, _ in told] == [
            "first step",
            "after a wait",
            "its task",
            "its thread",
        ]
        assert len({tuple(fields.items()) for _, fields in told}) == 1
    assert seen[0][1] == {
        "job_id": "a",
        "job": "send",
        "queue": "mail",
        "attempt": 1,
        "redrive": 0,
        "topic": "shop.mail",
        "partition": ear.lane.source[1],
        "offset": 0,
        "correlation_id": "a",
    }


def test_outside_of_handlers_no_job_is_named(ear: Ear) -> None:
    """Neither where its end is told, nor in what the loop was asked to do there."""
    outside: list[Fields] = []

    def ended(delivery: Delivery, outcome: Outcome) -> None:
        outside.append(job_fields())
        asyncio.get_running_loop().call_soon(lambda: outside.append(job_fields()))
        ear.ended(delivery, outcome)

    async def quick(_: object) -> None:
        assert job_fields()

    async def waits(_: object) -> None:
        await asyncio.sleep(0)
        assert job_fields()

    def plain(_: object) -> None:
        assert job_fields()

    ear.shop.handle("quick", quick)
    ear.shop.handle("waits", waits)
    ear.shop.handle("plain", plain, "thread")

    async def scenario() -> None:
        on_loop = LoopExecutor(10, ended, ear.returned, machine=MACHINE)
        in_threads = ThreadExecutor(1, ended, ear.returned, machine=MACHINE)
        for job_id, job in (("1", "quick"), ("2", "waits"), ("3", "quick")):
            on_loop.submit(ear.delivery(job_id, job))
        in_threads.submit(ear.delivery("4", "plain"))
        for job_id in "1234":
            assert await ear.outcome(job_id) is DONE
        outside.append(job_fields())
        in_threads.close()

    asyncio.run(scenario())

    assert outside == [{}] * len(outside)
    assert len(outside) >= 8


def test_a_thread_names_the_job_it_runs_and_the_next_one_after_it(ear: Ear) -> None:
    seen: list[tuple[int, str]] = []

    def handler(_: object) -> None:
        seen.append((threading.get_ident(), job_fields()["job_id"]))

    ear.shop.handle("send", handler, "thread")

    async def scenario() -> None:
        executor = ThreadExecutor(1, ear.ended, ear.returned, machine=MACHINE)
        for job_id in ("a", "b"):
            executor.submit(ear.delivery(job_id, "send"))
        await ear.outcome("b")
        executor.close()

    asyncio.run(scenario())

    assert [job_id for _, job_id in seen] == ["a", "b"]
    assert len({thread for thread, _ in seen}) == 1
