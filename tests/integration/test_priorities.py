"""Queues of one worker on a real Kafka: the command's weights, a strict order, tenants' turns."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until
from tests.integration.by_command import WAIT_S, Worker

if TYPE_CHECKING:
    from tests.integration.by_command import Shop

pytestmark = pytest.mark.kafka
JOBS = 200
SLOTS = 2
APP = """
import asyncio, os
from dataclasses import dataclass
from jobstream import App

app = App("{name}", size="small", concurrency={slots})
urgent, low = app.queue("urgent"), app.queue("low", weight=100)

@dataclass(frozen=True)
class Work:
    tenant: str
    number: int

async def run(args: Work) -> None:
    await asyncio.sleep(0.005)
    print("ran", args.tenant, flush=True)

@app.job(queue=low)
async def hold(args: Work) -> None:
    print("holds a slot", flush=True)
    while not os.path.exists("all-read"):
        await asyncio.sleep(0.005)

app.job(queue=urgent, name="urgent")(run)
app.job(queue=low, name="low")(run)
app.job(queue=low, name="fair", fair_by="tenant")(run)
"""
FILL = """
from shop import app, Work
for job, tenant, count in {jobs}:
    app.jobs[job].enqueue_many([Work(tenant, number) for number in range(count)])
"""


@pytest.fixture
def declared(shop: Shop) -> Shop:
    (shop.folder / "shop.py").write_text(APP.format(name=shop.name, slots=SLOTS))
    shop.run("topics", "apply", "shop:app")
    return shop


def fill(shop: Shop, *jobs: tuple[str, str, int]) -> None:
    """Enqueue so many jobs of these types, of these tenants, in this order."""
    (shop.folder / "fill.py").write_text(FILL.format(jobs=jobs))
    subprocess.run(
        [sys.executable, "fill.py"], cwd=shop.folder, env=shop.environ, check=True, timeout=WAIT_S
    )


def ran(shop: Shop, worker: Worker, *jobs: tuple[str, str, int]) -> list[str]:
    """Of whom each job was, in the order in which they ran once the worker had read them all.

    Both slots are held meanwhile, by jobs of the low queue: they use up time of its share alone.
    """
    fill(shop, ("hold", "low", SLOTS))
    worker.hear("holds", SLOTS)
    fill(shop, *jobs)
    total = sum(count for _, _, count in jobs)

    def has_read_all() -> bool:
        told = shop.json("status", code=None)
        return bool(sum(process.get("in_flight", 0) for process in told) == SLOTS + total)

    wait_until(has_read_all, "the worker has read all", limit_s=WAIT_S)
    (shop.folder / "all-read").touch()
    return [line.split()[1] for line in worker.hear("ran ", total)]


@pytest.mark.parametrize(
    ("options", "shares"),
    [
        (["--queues", "urgent:8,low:1"], {"urgent": 8, "low": 1}),
        (["--queues", "urgent,low", "--strict"], "strict"),
    ],
    ids=["by_weight", "strict"],
)
def test_the_command_says_which_queue_comes_first(
    declared: Shop, workers: list[Worker], options: list[str], shares: object
) -> None:
    workers.append(worker := Worker(declared, *options))

    order = ran(declared, worker, ("low", "low", JOBS), ("urgent", "urgent", JOBS))

    (started,) = worker.hear("worker_started")
    assert json.loads(started)["shares"] == shares
    last = max(at for at, queue in enumerate(order) if queue == "urgent")
    assert last < 1.6 * JOBS
    assert order.count("low") == order.count("urgent") == JOBS


def test_few_jobs_of_a_tenant_pass_very_many_of_another(
    declared: Shop, workers: list[Worker]
) -> None:
    workers.append(worker := Worker(declared, "--queues", "low"))

    order = ran(declared, worker, ("fair", "loud", 3 * JOBS), ("fair", "quiet", 20))

    assert (order.count("loud"), order.count("quiet")) == (3 * JOBS, 20)
    last = max(at for at, tenant in enumerate(order) if tenant == "quiet")
    assert last < 2 * JOBS
