"""Tenants of one job type take turns in a worker: few jobs of one wait not for many of another."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from jobstream import App, Backoff, Fair
from jobstream.testing import memory
from jobstream_processors.core import fair_pool

if TYPE_CHECKING:
    from jobstream import Job
    from jobstream_processors.core.field_names import Fields

FEW, MANY = 12, 600


@dataclass(frozen=True)
class Export:
    tenant: str
    number: int


def declared(
    app: App, ran: list[tuple[str, int]], fair_by: Fields | Fair | None, *, fails: bool = False
) -> Job[Export, None]:
    """A job type whose jobs take 2 ms, and fail at their first attempt if they are to."""
    job: Job[Export, None] = app.declare(
        "export",
        Export,
        queue=app.queue("exports"),
        fair_by=fair_by,
        retry=Backoff(attempts=3, first="10s"),
    )
    tried: set[tuple[str, int]] = set()

    @job.handler
    async def export(args: Export) -> None:
        await asyncio.sleep(0.002)  # work
        one = (args.tenant, args.number)
        if fails and one not in tried:
            tried.add(one)
            raise OSError
        ran.append(one)

    return job


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(5_000, id="all_wait_here"),
        pytest.param(
            80,
            id="most_leave_for_the_ladder",
            marks=pytest.mark.pure("replaces a constant of a compiled module"),
        ),
    ],
)
@pytest.mark.parametrize("fails", [False, True], ids=["done_at_once", "after_a_retry"])
def test_few_jobs_of_a_tenant_do_not_wait_for_very_many_of_another(
    monkeypatch: pytest.MonkeyPatch, kept: int, *, fails: bool
) -> None:
    monkeypatch.setattr(fair_pool, "KEPT_MAX", kept)
    ran: list[tuple[str, int]] = []
    app = App("shop", size="small", concurrency=4)
    job = declared(app, ran, "tenant", fails=fails)
    with memory(app) as run:
        for number in range(MANY):
            job.enqueue(Export("loud", number))
        for number in range(FEW):
            job.enqueue(Export("quiet", number))
        run.run_until_idle()
        rungs = [topic for topic in run.broker.topics() if ".retry." in topic]
        records = chain.from_iterable(run.broker.records(topic) for topic in rungs)
        waits = Counter(dict(record.headers() or ()).get("js-waits") for record in records)

    assert Counter(tenant for tenant, _ in ran) == {"loud": MANY, "quiet": FEW}
    assert len({*ran}) == MANY + FEW
    assert bool(waits[b"fair"]) is (kept == 80)
    if not fails:
        last = max(at for at, (tenant, _) in enumerate(ran) if tenant == "quiet")
        assert last < MANY / 4


def test_a_window_of_few_jobs_is_not_filled_by_one_tenant() -> None:
    ran: list[tuple[str, int]] = []
    app = App("shop", size="small", concurrency=4, window=60)
    job = declared(app, ran, "tenant")
    many = 2_000  # More than one poll takes up, whatever the window.
    with memory(app) as run:
        for number in range(many):
            job.enqueue(Export("loud", number))
        for number in range(FEW):
            job.enqueue(Export("quiet", number))
        run.run_until_idle()

    assert Counter(tenant for tenant, _ in ran) == {"loud": many, "quiet": FEW}
    assert max(at for at, (tenant, _) in enumerate(ran) if tenant == "quiet") < many / 8


def test_without_it_they_wait_for_all() -> None:
    ran: list[tuple[str, int]] = []
    app = App("shop", size="small", concurrency=4)
    job = declared(app, ran, None)
    with memory(app) as run:
        for number in range(MANY):
            job.enqueue(Export("loud", number))
        job.enqueue(Export("quiet", 0))
        run.run_until_idle()

    assert ran.index(("quiet", 0)) > MANY / 2


def test_a_weight_gives_a_tenant_more_turns() -> None:
    ran: list[tuple[str, int]] = []
    app = App("shop", size="small", concurrency=2)
    job = declared(app, ran, Fair("tenant", weights={"gold": 4}))
    with memory(app) as run:
        for number in range(200):
            for tenant in ("plain", "gold"):
                job.enqueue(Export(tenant, number))
        run.run_until_idle()

    early = Counter(tenant for tenant, _ in ran[40:200])
    assert early["gold"] > 2.5 * early["plain"] > 0


def test_a_lost_partition_and_a_restart_leave_no_slot_taken() -> None:
    ran: list[tuple[str, int]] = []
    app = App("shop", size="small", concurrency=2)
    job = declared(app, ran, "tenant")
    with memory(app) as run:
        for number in range(100):
            job.enqueue(Export(f"t{number % 3}", number))
        run.restart()
        for number in range(100, 200):
            job.enqueue(Export(f"t{number % 3}", number))
        run.run_until_idle()

    assert len({number for _, number in ran}) == 200
