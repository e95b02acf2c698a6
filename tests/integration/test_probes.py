"""What the probes of a real worker process answer while something is really wrong with it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.waiting import TooLate, wait_until

from jobstream.broker.embedded import EmbeddedKafka
from jobstream.broker.errors import PortInUseError
from jobstream.broker.free_ports import choose_addresses
from jobstream.observe.targets import folder_of, living

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

pytestmark = pytest.mark.kafka
WAIT_S = 180
LOG_CHARS = 10_000
"""Of a process's log, for who reads of a test that failed."""
APP = """
import time
from dataclasses import dataclass
from pathlib import Path
from jobstream import App, Backoff

app = App("{name}", drain="1s"{options})
only = app.queue("only", partitions=1)

@dataclass(frozen=True)
class Nap:
    seconds: float

# A retry that the blocked loop keeps beyond its time limit would have the process replaced.
@app.job(queue=only, timeout="300ms", retry=Backoff(attempts=1))
def sleeps_in_a_thread(args: Nap) -> None:
    time.sleep(args.seconds)

@app.job(queue=only)
async def blocks_the_loop(args: Nap) -> None:
    Path("begun").touch()
    while not Path("free").exists():
        time.sleep(0.01)
"""


class Place:
    """An app in a folder of its own, and the command line there."""

    def __init__(self, folder: Path, servers: str, options: str = "") -> None:
        self.name = f"probes-{uuid.uuid4().hex[:8]}"
        self.folder = folder
        self.state = folder / "state"
        self.environ = {
            **os.environ,
            "JOBSTREAM_BOOTSTRAP_SERVERS": servers,
            "JOBSTREAM_STATE_DIR": str(self.state),
        }
        (folder / "shop.py").write_text(APP.format(name=self.name, options=options))
        self.run("topics", "apply", "shop:app")

    def run(self, *words: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "jobstream", *words],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.DEVNULL,
            timeout=WAIT_S,
            check=True,
        )

    def enqueue(self, job: str, seconds: float) -> None:
        self.run("enqueue", "shop:app", job, json.dumps({"seconds": seconds}))

    @contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "jobstream", *words],
                cwd=self.folder,
                env=self.environ,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            sys.stdout.write(f"{words} ended with {process.poll()}, after it had logged:\n")
            sys.stdout.write((self.folder / "worker.log").read_text()[-LOG_CHARS:])
            process.kill()
            process.wait()

    def worker(self, *options: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
        return self.started("worker", "shop:app", *options)

    def addresses(self, count: int) -> list[str]:
        folder = folder_of(self.state, self.name)
        wait_until(lambda: len(living(folder)) == count, "they are listed", limit_s=WAIT_S)
        return [target.address for target in living(folder)]


def get(address: str, path: str) -> tuple[int, dict[str, Any]]:
    """Code and body; 0 while nobody listens."""
    connection = http.client.HTTPConnection(address, timeout=WAIT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except ConnectionError:
        return 0, {}
    finally:
        connection.close()


def ports_in_a_row(count: int) -> int:
    """The first of so many neighbouring ports that nobody listens on."""
    while True:
        port = choose_addresses(1, None)[0].port
        with suppress(PortInUseError):
            return choose_addresses(count, port)[0].port


def until(address: str, path: str, code: int, check: str = "") -> None:
    """Wait until the probe answers so, and names the check that fails."""
    body: dict[str, Any] = {}

    def answered() -> bool:
        nonlocal body
        got, body = get(address, path)
        failed = [each["name"] for each in body.get("checks", []) if not each["ok"]]
        return got == code and (check in failed if check else not failed)

    try:
        wait_until(answered, f"{path} answers {code} {check}", limit_s=WAIT_S)
    except TooLate:
        sys.stdout.write(f"the last answer was {body}\n")
        raise


def test_the_roles_of_dev_take_a_port_each_from_the_one_in_the_code(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    expected = ["worker", "delayer", "exporter"]
    port = ports_in_a_row(5)  # views and pages have one each, too
    place = Place(tmp_path, kafka.bootstrap_servers, f", metrics_port={port}")

    def roles() -> list[object]:
        return [get(f"127.0.0.1:{port + n}", "/status")[1].get("role") for n in range(3)]

    with place.started("dev", "shop:app") as dev:
        wait_until(lambda: roles() == expected, "each answers by its port", limit_s=WAIT_S)
        dev.terminate()
        assert dev.wait(WAIT_S) == 0


def test_two_processes_have_a_port_each_and_one_without_partitions_is_ready(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    place = Place(tmp_path, kafka.bootstrap_servers)
    port = ports_in_a_row(2)

    with place.worker("--processes", "2", "--metrics-port", str(port)):
        addresses = place.addresses(2)
        assert sorted(addresses) == [f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}"]
        for address in addresses:
            until(address, "/readyz", 200)
            until(address, "/startupz", 200)

        def owned() -> list[int]:
            return sorted(get(address, "/status")[1]["partitions"] for address in addresses)

        wait_until(lambda: owned() == [0, 1], "one has the partition", limit_s=WAIT_S)


def test_a_blocked_loop_is_death_and_a_stuck_thread_or_a_lost_broker_is_not(
    tmp_path: Path,
) -> None:
    with EmbeddedKafka() as broker:
        place = Place(tmp_path, broker.bootstrap_servers)
        with place.worker() as process:
            (address,) = place.addresses(1)
            until(address, "/readyz", 200)

            place.enqueue("sleeps_in_a_thread", 300)
            wait_until(
                lambda: get(address, "/status")[1].get("stuck") == 1,
                "the thread is stuck",
                limit_s=WAIT_S,
            )
            until(address, "/livez", 200)
            until(address, "/readyz", 200)

            place.enqueue("blocks_the_loop", 0)
            # A broker that dies at once may take the job along, before the worker has read it.
            begun = (place.folder / "begun").exists
            wait_until(begun, "the loop is blocked", limit_s=WAIT_S)
            broker.kill(1)
            until(address, "/livez", 503, "event_loop")
            told = get(address, "/status")[1]
            assert told["oldest"]["job"] in {"sleeps_in_a_thread", "blocks_the_loop"}
            begun_jobs = {run["job"] for run in told["runs"] if run["id"]}
            assert begun_jobs == {"sleeps_in_a_thread", "blocks_the_loop"}

            (place.folder / "free").touch()
            until(address, "/readyz", 503, "broker")
            until(address, "/livez", 200)
            until(address, "/readyz", 503, "broker")
            assert process.poll() is None
