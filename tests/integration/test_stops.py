"""A stop that reaches every process of a service, as systemd, supervisord and terminals send it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until
from tests.integration.by_command import Shop, Worker
from tests.spoken import Spoken

if TYPE_CHECKING:
    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka

WAIT_S = 180
LEAVE_S = 180
APP = """
import os, pathlib, time
from dataclasses import dataclass
from jobstream import App, Backoff

app = App("{name}", drain="10m", children=2)
mail = app.queue("mail", partitions=1)
HERE = pathlib.Path(__file__).parent

@dataclass(frozen=True)
class Receipt:
    order_id: str

def stays(args: Receipt) -> None:
    with (HERE / "began").open("a") as book:
        book.write(args.order_id + "\\n")
    for _ in range(1_000):
        print("x" * 200, flush=True)
    while not (HERE / "go").exists():
        time.sleep(0.05)
        print("waits", flush=True)
    with (HERE / "done").open("a") as book:
        book.write(args.order_id + "\\n")

if (HERE / "slow").exists():
    # A restore that takes for ever, as that of a large table from a broker far away.
    from jobstream.kafka.follow.topic_reader import KafkaLog
    read = KafkaLog.read

    def endless(self, partition, start, stop):
        yield from read(self, partition, start, stop)
        while partition[0].endswith(".dedup"):
            print("restoring", flush=True)
            time.sleep(0.5)
            yield ()

    KafkaLog.read = endless

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
    children: list[int] = []
    for task in Path("/proc", str(pid), "task").iterdir():
        with suppress(OSError):  # a thread that has ended since
            children += map(int, (task / "children").read_text().split())
    return [each for child in children for each in below(child)] + [pid]


def test_a_stop_of_every_process_is_one_stop_and_counts_no_crash(
    shop: Shop, workers: list[Worker]
) -> None:
    # One of the two holds the partition, and keeps it.
    workers.append(worker := Worker(shop, "--processes", "2"))
    worker.hear("worker_started", 2)

    wanted = sorted(f"{job}-{n}" for job in ("in_a_child", "in_a_thread") for n in range(2))
    for name in wanted:
        shop.run("enqueue", "shop:app", name[:-2], json.dumps({"order_id": name}))
    wait_until(lambda: lines(shop, "began") == wanted, "all run", limit_s=WAIT_S)
    for pid in below(worker.process.pid):
        os.kill(pid, signal.SIGTERM)
    worker.hear("draining", 2)
    (shop.folder / "go").touch()

    assert worker.process.wait(WAIT_S) == 0
    assert lines(shop, "began") == lines(shop, "done") == wanted
    assert not shop.lines("dlq", "list")


def test_a_stop_while_tables_are_restored_leaves_soon(shop: Shop, workers: list[Worker]) -> None:
    (shop.folder / "slow").touch()
    workers.append(worker := Worker(shop))
    worker.hear("restoring", 4)

    worker.process.terminate()

    # The app's drain is ten minutes, and no part of it is needed here.
    assert worker.process.wait(LEAVE_S) == 0


def test_dev_whose_reader_has_left_drains(shop: Shop) -> None:
    reader = subprocess.Popen(
        ["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    dev = subprocess.Popen(
        [sys.executable, "-m", "jobstream", "dev", "shop:app"],
        cwd=shop.folder,
        env=shop.environ,
        stdout=reader.stdin,
        stderr=reader.stdin,
    )
    try:
        assert reader.stdin is not None
        reader.stdin.close()
        Spoken(reader, WAIT_S).hear("ready role=worker")
        shop.run("enqueue", "shop:app", "in_a_thread", '{"order_id": "one"}')
        wait_until(lambda: lines(shop, "began") == ["one"], "it runs", limit_s=WAIT_S)

        reader.kill()
        reader.wait(WAIT_S)
        dev.terminate()
        (shop.folder / "go").touch()

        assert dev.wait(WAIT_S) == 0
        assert lines(shop, "began") == lines(shop, "done") == ["one"]
    finally:
        reader.kill()
        reader.wait(WAIT_S)
        dev.kill()
        dev.wait(WAIT_S)
