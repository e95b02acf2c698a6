"""`jobstream dev` keeps its roles running, whatever ends them, and takes up new code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until
from tests.integration.by_command import Shop
from tests.spoken import Spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from jobstream.broker.fixture import RunningKafka

pytestmark = pytest.mark.kafka

WAIT_S = 180
APP = """
import pathlib, time
from dataclasses import dataclass
from jobstream import App

VERSION = "one"
app = App("{name}", drain="10m")
mail = app.queue("mail", partitions=1)
HERE = pathlib.Path(__file__).parent

@dataclass(frozen=True)
class Work:
    name: str

@app.job(queue=mail)
def work(args: Work) -> None:
    print("began", args.name, VERSION, flush=True)
    while args.name == "long" and not (HERE / "go").exists():
        time.sleep(0.05)
    print("ended", args.name, VERSION, flush=True)
"""
MORE = """
@app.job(queue=app.queue("bulk", partitions=1))
def more(args: Work) -> None:
    print("more", args.name, flush=True)
"""


ENDLESS = """
import pathlib, time
(pathlib.Path(__file__).parent / "importing").touch()
while True:
    time.sleep(1)
"""


class Dev(Spoken):
    """`jobstream dev` as a process, and the lines it says."""

    def __init__(
        self, name: str, folder: Path, servers: str, *options: str, code: str = APP
    ) -> None:
        self.shop = Shop(name, folder, servers)
        self.write(code.replace("{name}", name))
        process = subprocess.Popen(
            [sys.executable, "-m", "jobstream", "dev", "shop:app", *options],
            cwd=folder,
            env=self.shop.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        super().__init__(process, WAIT_S)

    @property
    def code(self) -> str:
        return (self.shop.folder / "shop.py").read_text()

    def write(self, code: str) -> None:
        (self.shop.folder / "shop.py").write_text(code)

    def enqueue(self, job: str, name: str) -> None:
        self.shop.run("enqueue", "shop:app", job, json.dumps({"name": name}))

    def worker_pid(self, times: int) -> int:
        """The process of the worker that was started as the so manieth."""
        started = self.hear("worker_started", times)[-1]
        return int(started.split("worker=")[1].split()[0].rpartition(":")[2])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(WAIT_S)

    def close(self) -> None:
        if self.process.poll() is None:
            (self.shop.folder / "go").touch()
            self.stop()


@pytest.fixture
def new_dev(kafka: RunningKafka, tmp_path: Path) -> Iterator[Callable[..., Dev]]:
    made: list[Dev] = []

    def make(*options: str, code: str = APP) -> Dev:
        name = f"dev{uuid.uuid4().hex[:8]}"
        made.append(Dev(name, tmp_path, kafka.bootstrap_servers, *options, code=code))
        return made[-1]

    yield make
    for dev in made:
        dev.close()


def test_a_role_that_left_is_told_and_started_again_whatever_ended_it(
    new_dev: Callable[..., Dev],
) -> None:
    dev = new_dev()
    ends = {
        signal.SIGKILL: "worker was ended by SIGKILL",
        signal.SIGSEGV: "worker was ended by SIGSEGV",
        signal.SIGTERM: "worker ended with exit code 0",
    }
    for times, (number, told) in enumerate(ends.items(), 1):
        dev.hear("ready role=worker", times)
        os.kill(dev.worker_pid(times), number)
        (line,) = dev.hear(f"dev     | {told}")
        assert "; it restarts in " in line

    dev.hear("ready role=worker", len(ends) + 1)
    dev.enqueue("work", "a")
    dev.hear("ended a one")

    assert dev.stop() == 0
    dev.hear("dev     | SIGINT: stopping")


def test_new_code_runs_after_a_drain_and_no_job_is_lost(new_dev: Callable[..., Dev]) -> None:
    dev = new_dev("--reload")
    dev.hear("ready role=worker")
    dev.enqueue("work", "long")
    dev.hear("began long one")

    # When the code changes, and once more while the job that runs keeps the old worker
    dev.write(dev.code.replace('"one"', '"two"') + MORE)
    dev.hear("dev     |   jobstream enqueue shop:app more")
    dev.hear("dev     | restarting each role")
    dev.write(dev.code.replace('"two"', '"six"'))
    dev.hear("dev     | restarting each role", 2)
    dev.enqueue("work", "next")
    (dev.shop.folder / "go").touch()

    # Then the job ends where it began, and what waited runs with the newest code
    dev.hear("ended long one")
    dev.hear("ended next six")
    dev.enqueue("more", "bulk")
    dev.hear("more bulk")
    assert dev.stop() == 0
    assert len(dev.hear("began long")) == 1
    assert not [line for line in dev.said if "started again in" in line]


def test_a_file_with_an_error_is_told_and_the_next_change_is_waited_for(
    new_dev: Callable[..., Dev],
) -> None:
    dev = new_dev("--reload")
    dev.hear("ready role=worker")
    sound = dev.code

    dev.write(sound + "def broken(:\n")
    dev.hear(f"dev     |   {dev.shop.folder / 'shop.py'}:{sound.count(chr(10)) + 1}")
    dev.hear("SyntaxError")
    dev.hear("dev     | the previous code keeps running; waiting for the next change")
    dev.write(sound.replace('"one"', '"two"'))
    dev.hear("ready role=worker", 2)
    dev.enqueue("work", "a")

    dev.hear("ended a two")
    assert dev.stop() == 0


def test_code_that_is_broken_from_the_start_is_waited_for(new_dev: Callable[..., Dev]) -> None:
    dev = new_dev("--reload", code=f"1 / 0\n{APP}")
    dev.hear("ZeroDivisionError")
    dev.hear("dev     | waiting for the next change")

    dev.write(dev.code.removeprefix("1 / 0\n"))

    dev.hear("ready role=worker")
    assert dev.stop() == 0


@pytest.mark.parametrize("begins", [APP, ENDLESS + APP])
def test_an_import_without_end_ends_with_the_next_change(
    new_dev: Callable[..., Dev], begins: str
) -> None:
    dev = new_dev("--reload", code=begins)
    sound = dev.code.removeprefix(ENDLESS)
    times = 1
    if begins == APP:
        dev.hear("ready role=worker")
        dev.write(ENDLESS + sound)
        times = 2
    wait_until((dev.shop.folder / "importing").exists, "the import", limit_s=WAIT_S)

    dev.write(sound)

    dev.hear("ready role=worker", times)
    assert dev.stop() == 0


def test_an_app_without_jobs_is_told_so(new_dev: Callable[..., Dev]) -> None:
    dev = new_dev(code=APP.partition("@dataclass")[0])

    dev.hear("dev     | the app has no job types: @app.job makes one")
    dev.hear("ready role=worker")
    assert dev.stop() == 0
