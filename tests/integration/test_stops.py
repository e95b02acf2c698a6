"""A stop that reaches every process of a service, as systemd, supervisord and terminals send it."""

from __future__ import annotations

import json
import os
import signal
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.by_command import Shop, Worker

from jobstream.testing.waiting import wait_until

if TYPE_CHECKING:
    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka

WAIT_S = 90
APP = """
import os, pathlib, time
from dataclasses import dataclass
from jobstream import App, Backoff

app = App("{name}", drain="60s", children=2)
mail = app.queue("mail", partitions=2)
HERE = pathlib.Path(__file__).parent

@dataclass(frozen=True)
class Receipt:
    order_id: str

def stays(args: Receipt) -> None:
    with (HERE / "began").open("a") as book:
        book.write(args.order_id + "\\n")
    while not (HERE / "go").exists():
        time.sleep(0.05)
    with (HERE / "done").open("a") as book:
        book.write(args.order_id + "\\n")

@app.job(queue=mail, executor="process")
def in_a_child(args: Receipt) -> None:
    stays(args)

@app.job(queue=mail)
def in_a_thread(args: Receipt) -> None:
    stays(args)
"""


@pytest.fixture
def shop(tmp_path: Path, kafka: EmbeddedKafka) -> Shop:
    name = f"stops-{uuid.uuid4().hex[:8]}"
    made = Shop(name, tmp_path, kafka.bootstrap_servers)
    (tmp_path / "shop.py").write_text(APP.format(name=name))
    made.run("topics", "apply", "shop:app")
    return made


def lines(shop: Shop, name: str) -> list[str]:
    path = shop.folder / name
    return sorted(path.read_text().splitlines()) if path.exists() else []


def below(pid: int) -> list[int]:
    """A process and all that came of it, the process itself last."""
    tasks = Path("/proc", str(pid), "task").iterdir()
    children = [int(word) for task in tasks for word in (task / "children").read_text().split()]
    return [each for child in children for each in below(child)] + [pid]


def test_a_stop_of_every_process_is_one_stop_and_charges_nobody(
    shop: Shop, workers: list[Worker]
) -> None:
    workers.append(worker := Worker(shop, "--processes", "2"))
    worker.hear("worker_started", 2)

    # One that somebody else stops is started again, though it left with 0.
    os.kill(below(worker.process.pid)[0], signal.SIGTERM)
    worker.hear("child_left_unasked")
    worker.hear("worker_started", 3)

    wanted = sorted(f"{job}-{n}" for job in ("in_a_child", "in_a_thread") for n in range(2))
    for name in wanted:
        shop.run("enqueue", "shop:app", name[:-2], json.dumps({"order_id": name}))
    wait_until(lambda: lines(shop, "began") == wanted, "all run", limit_s=WAIT_S)
    for pid in below(worker.process.pid):
        os.kill(pid, signal.SIGTERM)
    worker.hear("draining", 3)
    (shop.folder / "go").touch()

    assert worker.process.wait(WAIT_S) == 0
    assert lines(shop, "began") == lines(shop, "done") == wanted
    assert not shop.lines("dlq", "list")
