"""What handlers share in real workers: once in each process, left within the drain."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until
from tests.integration.by_command import Shop, Worker

if TYPE_CHECKING:
    from pathlib import Path

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka

WAIT_S = 180
APP = """
import asyncio, os
from dataclasses import dataclass
from pathlib import Path
from jobstream import App, Context

app = App("{name}", drain="30s", children=1)
mail = app.queue("mail", partitions=2)
HERE = Path(__file__).parent

def says(text):
    with (HERE / "book").open("a") as book:
        book.write(f"{{os.getpid()}} {{text}}\\n")

class Pool:
    pass

@app.lifespan
async def pool():
    if (HERE / "down").exists():
        raise ConnectionError("no database at db:5432")
    if (HERE / "slow").exists():
        says("starts")
        await asyncio.Event().wait()
    says("begins")
    yield Pool()
    says("ends")

@dataclass(frozen=True)
class Receipt:
    order_id: str

@app.job(queue=mail)
async def on_loop(args: Receipt, ctx: Context) -> None:
    says("on_loop " + type(ctx.resources[Pool]).__name__)

@app.job(queue=mail, executor="process")
def in_child(args: Receipt, ctx: Context) -> None:
    says("in_child " + type(ctx.resources[Pool]).__name__)
"""


@pytest.fixture
def shop(tmp_path: Path, kafka: EmbeddedKafka) -> Shop:
    made = Shop(f"shared-{uuid.uuid4().hex[:8]}", tmp_path, kafka.bootstrap_servers)
    (tmp_path / "shop.py").write_text(APP.format(name=made.name))
    made.run("topics", "apply", "shop:app")
    return made


def said(shop: Shop) -> dict[str, list[str]]:
    """What each process said."""
    by_process: dict[str, list[str]] = {}
    book = shop.folder / "book"
    for line in book.read_text().splitlines() if book.exists() else ():
        pid, _, text = line.partition(" ")
        by_process.setdefault(pid, []).append(text)
    return by_process


def test_each_process_that_runs_handlers_has_its_own_and_leaves_it(
    shop: Shop, workers: list[Worker]
) -> None:
    workers.append(worker := Worker(shop, "--processes", "2"))
    worker.hear("worker_started", 2)
    assert [*said(shop).values()] == [["begins"], ["begins"]]

    for job in ("on_loop", "in_child"):
        shop.run("enqueue", "shop:app", job, json.dumps({"order_id": "a"}))
    wait_until(lambda: len([*said(shop).values()]) == 3, "a child has begun", limit_s=WAIT_S)
    wait_until(
        lambda: sum(len(lines) for lines in said(shop).values()) == 5, "both run", limit_s=WAIT_S
    )
    assert worker.drain() == 0

    found = sorted(said(shop).values(), key=len)
    assert found[0] == ["begins", "ends"]
    assert sorted(lines[1] for lines in found[1:]) == ["in_child Pool", "on_loop Pool"]
    assert all(lines[0] == "begins" for lines in found)
    assert all(lines[-1] == "ends" for lines in found)


def test_a_worker_whose_lifespan_fails_leaves_with_its_error_and_takes_no_partition(
    shop: Shop, workers: list[Worker]
) -> None:
    (shop.folder / "down").touch()
    workers.append(worker := Worker(shop))

    assert worker.process.wait(WAIT_S) == 1
    with pytest.raises(AssertionError):
        worker.hear("never said")
    said_last = "\n".join(worker.said)
    assert "lifespan 'pool' failed: ConnectionError: no database at db:5432" in said_last
    assert "worker_started" not in said_last
    assert "partitions_assigned" not in said_last


def test_a_worker_that_is_to_leave_while_they_start_leaves(
    shop: Shop, workers: list[Worker]
) -> None:
    (shop.folder / "slow").touch()
    workers.append(worker := Worker(shop))
    wait_until(lambda: said(shop), "it starts", limit_s=WAIT_S)

    assert worker.drain() == 0
    assert list(said(shop).values()) == [["starts"]]


def test_a_delayer_alone_enters_none(shop: Shop, workers: list[Worker]) -> None:
    (shop.folder / "down").touch()
    workers.append(worker := Worker(shop, "--only", "delayer"))
    worker.hear('"ready"')

    assert worker.drain() == 0
    assert said(shop) == {}
