"""How many threads a worker process has, after a burst as well as before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka
WAIT_S = 240
JOBS = 300
SLOTS = 200
AFTER_MAX = 70
"""One broker: about 30 of the Kafka clients, 22 of Python, 2 of RocksDB, and room for some. Handler
threads that stayed for ever would add up to 200."""
APP = """
import os, threading
from dataclasses import dataclass
from jobstream import App

app = App("{name}", drain="1s")

def count():
    with open("burst", "w") as book:
        book.write(str(len(os.listdir("/proc/self/task"))))

together = threading.Barrier({slots}, count)
queues = [app.queue(name, partitions=12) for name in ("a", "b", "c")]

@dataclass(frozen=True)
class Meet:
    place: int

@app.job(queue=queues[0], timeout="10m")
def meets(args: Meet) -> None:
    if args.place < {slots}:
        together.wait(200)
    open("done", "a").write(".")

if __name__ == "__main__":
    meets.enqueue_many([Meet(place) for place in range({jobs})])
"""


def threads(pid: int) -> list[str]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            found.append((task / "comm").read_text().strip())
        except OSError:
            continue  # it has ended
    return sorted(found)


@pytest.fixture
def run(tmp_path: Path, kafka: EmbeddedKafka) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    name = f"threads-{uuid.uuid4().hex[:8]}"
    (tmp_path / "shop.py").write_text(APP.format(name=name, slots=SLOTS, jobs=JOBS))
    environ = {
        **os.environ,
        "JOBSTREAM_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "JOBSTREAM_STATE_DIR": str(tmp_path / "state"),
    }
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> subprocess.Popen[bytes]:
        with (tmp_path / "log").open("ab") as log:
            command = [sys.executable, *words]
            process = subprocess.Popen(
                command, cwd=tmp_path, env=environ, stdout=log, stderr=subprocess.STDOUT
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_worker_of_36_partitions_has_few_threads_again_after_a_burst(
    run: Callable[..., subprocess.Popen[bytes]], tmp_path: Path, say: Callable[[object], None]
) -> None:
    done, log = tmp_path / "done", tmp_path / "log"
    applied = run("-m", "jobstream", "topics", "apply", "shop:app")
    assert applied.wait(WAIT_S) == 0, log.read_text()
    worker = run("-m", "jobstream", "worker", "shop:app")
    assert run("shop.py").wait(WAIT_S) == 0, log.read_text()

    # The first jobs let each other go only when all of them run, so there is a thread for each:
    # they are counted then, since those that idle end after ten seconds.
    wait_until(
        lambda: done.exists() and done.stat().st_size >= JOBS, "all have run", limit_s=WAIT_S
    )
    at_most = int((tmp_path / "burst").read_text())
    wait_until(
        lambda: len(threads(worker.pid)) <= AFTER_MAX, "the threads have ended", limit_s=WAIT_S
    )

    assert at_most > SLOTS, log.read_text()
    assert worker.poll() is None, log.read_text()
    say(f"{at_most} threads in the burst, {len(threads(worker.pid))} after it")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(WAIT_S) == 0, log.read_text()
