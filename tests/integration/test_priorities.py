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
APP = """
import asyncio, os
from dataclasses import dataclass
from jobstream import App

app = App("{name}", size="small", concurrency=2)
urgent, low = app.queue("urgent"), app.queue("low", weight=100)

@dataclass(frozen=True)
class Work:
    tenant: str
    number: int

async def run(args: Work) -> None:
    await asyncio.sleep(0.005)
    while not os.path.exists("all-read"):
        await asyncio.sleep(0.005)
    print("ran", args.tenant, flush=True)

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
def filled(shop: Shop) -> Shop:
    (shop.folder / "shop.py").write_text(APP.format(name=shop.name))
    shop.run("topics", "apply", "shop:app")
    return shop


def fill(shop: Shop, *jobs: tuple[str, str, int]) -> None:
    """Enqueue so many jobs of these types, in this order."""
    (shop.folder / "fill.py").write_text(FILL.format(jobs=jobs))
    subprocess.run(
        [sys.executable, "fill.py"], cwd=shop.folder, env=shop.environ, check=True, timeout=WAIT_S
    )


def ran(shop: Shop, worker: Worker, jobs: int) -> list[str]:
    """Of whom each job was, in the order in which they ran once the worker had read them all."""

    def has_read_all() -> bool:
        told = shop.json("status", code=None)
        return bool(sum(process.get("in_flight", 0) for process in told) == jobs)

    wait_until(has_read_all, "the worker has read all", limit_s=WAIT_S)
    (shop.folder / "all-read").touch()
    return [line.split()[1] for line in worker.hear("ran ", jobs)]


@pytest.mark.parametrize(
    ("options", "shares"),
    [
        (["--queues", "urgent:8,low:1"], {"urgent": 8, "low": 1}),
        (["--queues", "urgent,low", "--strict"], "strict"),
    ],
    ids=["by_weight", "strict"],
)
def test_the_command_says_which_queue_comes_first(
    filled: Shop, workers: list[Worker], options: list[str], shares: object
) -> None:
    fill(filled, ("low", "low", JOBS), ("urgent", "urgent", JOBS))
    workers.append(worker := Worker(filled, *options))

    order = ran(filled, worker, 2 * JOBS)

    (started,) = worker.hear("worker_started")
    assert json.loads(started)["shares"] == shares
    last = max(at for at, queue in enumerate(order) if queue == "urgent")
    assert last < 1.6 * JOBS
    assert order.count("low") == order.count("urgent") == JOBS


def test_few_jobs_of_a_tenant_pass_very_many_of_another(
    filled: Shop, workers: list[Worker]
) -> None:
    fill(filled, ("fair", "loud", 3 * JOBS), ("fair", "quiet", 20))
    workers.append(worker := Worker(filled, "--queues", "low"))

    order = ran(filled, worker, 3 * JOBS + 20)

    assert (order.count("loud"), order.count("quiet")) == (3 * JOBS, 20)
    last = max(at for at, tenant in enumerate(order) if tenant == "quiet")
    assert last < 2 * JOBS
